from django.test import Client
from django.urls import get_resolver, reverse, URLPattern
from tests.site.scene import *
def walk(r, ns=""):
    for u in r.url_patterns:
        if hasattr(u,"url_patterns"): yield from walk(u, ns+(u.namespace+":" if u.namespace else ""))
        else: yield ns+(u.name or "-")
def test_probe(db):
    s = make_scene()
    a = {"set_id": s.profile_set.pk, "profile_id": s.profile.profile_id, "batch_id": s.batch.pk, "verb":"pause","endpoint_id": s.endpoint.pk,"to":"disable","study_id":s.study.pk,"name":"codebook","change":"pause","flag_uid":s.flag.uid,"key":"x-y","uidb36":"1", "user_id": s.colleague.pk}
    for name in walk(get_resolver()):
        kw = {}
        import re
        from django.urls import get_resolver as g
        url=None
        for cand in ({}, ):
            pass
        r = g()
        parts = name.split(":")
        rev = r
        if len(parts)==2:
            rev = r.namespace_dict[parts[0]][1]
        params = rev.reverse_dict.getlist(parts[-1])[0][0][0][1]
        kw = {p: (a.get(p) if p!="uid" else (s.assignment.uid if name.startswith("review") else s.dialogue.uid)) for p in params}
        url = reverse(name, kwargs=kw)
        out=[]
        for method in ("get","post"):
            row=[]
            for who in (None, *ROLES):
                with undone():
                    c = signed_in(s.people[who]) if who else Client()
                    c.raise_request_exception=False
                    try:
                        resp = getattr(c, method)(url)
                        row.append(str(resp.status_code))
                    except Exception as e:
                        row.append(type(e).__name__)
            out.append(" ".join(row))
        print(name, "|", url if len(url)<40 else "", "|", out[0], "|", out[1])
