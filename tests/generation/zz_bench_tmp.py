import os, time, threading, cProfile, pstats, io, resource
import pytest
from tests.fakes.model_server import spawn
from tests.generation.engine_cases import *
from generation import engine as eng
pytestmark = pytest.mark.django_db(transaction=True)

def test_bench():
    from generation.models import Turn
    n = int(os.environ.get("N", "64")); per=int(os.environ.get("PER","100"))
    with spawn("--instant") as (url, proc):
        Endpoint.objects.create(name="x", base_url=url, model="fake-model", max_concurrency=n, state="ready", context_length=100000)
        profiles = sample_profiles(name="p", count=per, seed=1, by=None)
        batch = create_batch(name="b", profile_set=profiles, protocol="sqpsych", model="fake-model", per_profile=int(os.environ.get("REP","1")), seed=1, by=None)
        print("dialogues", batch.dialogues.count())
        pr = cProfile.Profile() if os.environ.get("PROF") else None
        t=time.time(); c=time.process_time()
        r0=resource.getrusage(resource.RUSAGE_SELF)
        if pr:
            pr.enable()
        rep = eng.run_slice(float(os.environ.get("SECS","20")), threading.Event())
        if pr:
            pr.disable()
        w=time.time()-t; c=time.process_time()-c
        print(rep, counts(batch))
        print(f"wall {w:.1f}s  turns/s {rep.turns/w:.0f}  cpu {c:.1f}s  ms cpu/turn {c/max(rep.turns,1)*1000:.2f} -> {rep.turns/c:.0f}/cpu-s  maxrss {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024}MB")
        print("turn rows", Turn.objects.count())
        if pr:
            s=io.StringIO(); pstats.Stats(pr,stream=s).sort_stats("tottime").print_stats(35); print(s.getvalue())
