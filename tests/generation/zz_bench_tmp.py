import os, time, threading, resource
import pytest
from tests.fakes.model_server import spawn
from tests.generation.engine_cases import *
from generation import engine as eng
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]

def rss():
    from pathlib import Path
    return int(Path('/proc/self/statm').read_text().split()[1])*4//1024

def test_memory():
    n = 256
    with spawn("--instant") as (url, proc):
        Endpoint.objects.create(name="x", base_url=url, model="fake-model", max_concurrency=n, state="ready", context_length=100000)
        profiles = sample_profiles(name="p", count=300, seed=1, by=None)
        batch = create_batch(name="b", profile_set=profiles, protocol="sqpsych", model="fake-model", per_profile=4, seed=1, by=None)
        stop=threading.Event()
        def watch():
            while not stop.wait(5): print("rss", rss(), flush=True)
        w=threading.Thread(target=watch); w.start()
        t=time.time(); c=time.process_time()
        total=0
        while True:
            rep = eng.run_slice(20, threading.Event()); total+=rep.turns
            print(rep, "rss", rss(), flush=True)
            if not rep.work_left: break
        stop.set(); w.join()
        print("turns", total, "wall", time.time()-t, "turns/s", total/(time.time()-t), counts(batch))
        assert_sound(batch)
