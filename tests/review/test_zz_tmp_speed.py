import time, tracemalloc, resource, io, pandas as pd, uuid
import pytest
from pathlib import Path
from django.db import connection
from tests.factories import make_dialogue, make_instrument, WHEN
from review.models import *
from review.actions import create_study
from review.exports import *
from review.tables import Options
from generation.models import Dialogue
def test_big(db, make_user, tmp_path):
    raters=[make_user("rater",f"r{i}") for i in range(3)]
    coord=make_user("coordinator","boss")
    ds=Dialogue.objects.bulk_create([Dialogue(origin="imported",state="complete") for i in range(2000)])
    t=time.perf_counter()
    import cProfile,pstats
    s=create_study(name="Big", raters=raters, by=coord, dialogues=ds, overlap=3, seed=4)
    print("create", time.perf_counter()-t)
    Assignment.objects.filter(study=s).update(state="submitted",opened_at=WHEN,submitted_at=WHEN)
    ins=s.study_instruments.first().instrument
    from review.actions.rating import definition_of
    items=[i.key for i in definition_of(ins).items]
    with connection.cursor() as c:
        c.execute("set session_replication_role=replica")
        c.execute("insert into review_rating (assignment_id,instrument_id,item,value,comment,revision,created_at,updated_at) select a.id,%s,k,'2',case when k like 't1%%' then 'fine, =x' else '' end,1,now(),now() from review_assignment a, unnest(%s) k",[ins.pk,items])
        c.execute("set session_replication_role=origin")
    with connection.cursor() as c: c.execute("analyze")
    m0=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for n in ("ratings_long","ratings_wide"):
        t=time.perf_counter()
        f=export_table(study=s,name=n,options=Options(),origin=Origin(coord,"page"))
        dt=time.perf_counter()-t
        data=f.read(); f.close()
        k=data.count(b"\r\n")-1
        print(n,k,len(data),dt,k/dt)
        print(data[:900].decode())
    print("mem",resource.getrusage(resource.RUSAGE_SELF).ru_maxrss-m0)
    t=time.perf_counter()
    with connection.cursor() as c:
        with c.copy("copy (select * from review_rating) to stdout csv") as cp:
            n=sum(len(b) for b in cp)
    print("COPY",time.perf_counter()-t)
    t=time.perf_counter()
    w=export_to(study=s,directory=tmp_path/"x",options=Options(),origin=Origin(None,"command"),key=True)
    print("all",time.perf_counter()-t,w)
    df=pd.read_csv(tmp_path/"x/ratings_long.csv"); print(df.dtypes)
    print((tmp_path/"x/manifest.json").read_text())
