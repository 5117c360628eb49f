"""The password of the people in tests."""

import functools

PASSWORD = "a long enough password"


@functools.cache
def password_hash() -> str:
    """What is stored for it; worked out once in a process, since that is slow on purpose."""
    from django.contrib.auth.hashers import make_password

    return make_password(PASSWORD)
