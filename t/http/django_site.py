# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# A Django site without pages: makes its tables in a database by its own
# migrations, makes users, and says whom it would let in.  DJANGO_DATABASE is
# JSON for DATABASES; standard input is
#     {"users": [{"name", "password", "hasher", "active"}...],
#      "cases": [[name, password]...]}
# with null for a password that is not usable, and standard output
#     {"hashes": {name: hash}, "answers": [true or false...]}.
# The hashers are Django's, most with less work than by default.
import base64
import hashlib
import json
import os
import sys

import django
from django.conf import settings
from django.contrib.auth import hashers
from django.utils.crypto import constant_time_compare


class PBKDF2(hashers.PBKDF2PasswordHasher):
    iterations = 1000


class PBKDF2SHA1(hashers.PBKDF2SHA1PasswordHasher):
    iterations = 1000


class BCryptSHA256(hashers.BCryptSHA256PasswordHasher):
    rounds = 4


class BCrypt(hashers.BCryptPasswordHasher):
    rounds = 4


class Scrypt(hashers.BasePasswordHasher):
    """As Django has it since 4.0."""

    algorithm = "scrypt"
    work_factor = 1024

    def encode(self, password, salt, n=None, r=8, p=5):
        n = n or self.work_factor
        digest = hashlib.scrypt(
            password.encode(), salt=salt.encode(), n=n, r=r, p=p, dklen=64
        )
        text = base64.b64encode(digest).decode("ascii")
        return "%s$%d$%s$%d$%d$%s" % (self.algorithm, n, salt, r, p, text)

    def verify(self, password, encoded):
        _, n, salt, r, p, _ = encoded.split("$", 5)
        again = self.encode(password, salt, int(n), int(r), int(p))
        return constant_time_compare(encoded, again)

    def must_update(self, encoded):
        return False


if hasattr(hashers, "ScryptPasswordHasher"):

    class Scrypt(hashers.ScryptPasswordHasher):  # noqa: F811
        work_factor = 1024


def named(name):
    """Ours with less work, Django's own, or none in this version."""
    if name in globals():
        return "%s.%s" % (__name__, name)
    if hasattr(hashers, name + "PasswordHasher"):
        return "django.contrib.auth.hashers.%sPasswordHasher" % name
    return None


NAMES = (
    "PBKDF2 PBKDF2SHA1 Argon2 BCryptSHA256 BCrypt Scrypt MD5 SHA1 "
    "UnsaltedSHA1 UnsaltedMD5 Crypt"
).split()

settings.configure(
    SECRET_KEY="test",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    DATABASES={"default": json.loads(os.environ["DJANGO_DATABASE"])},
    PASSWORD_HASHERS=[n for n in map(named, NAMES) if n],
)
django.setup()

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction


def make(user):
    """A hasher of Django's own, with all its work, is named in full."""
    encoded = None
    if user["password"] is not None and user["hasher"]:
        if user["hasher"].endswith("PasswordHasher"):
            hasher = getattr(hashers, user["hasher"])()
        else:
            by_name = dict(zip(filter(named, NAMES), hashers.get_hashers()))
            hasher = by_name.get(user["hasher"])
        if hasher is None:
            return None
        encoded = hasher.encode(user["password"], hasher.salt())
    else:
        encoded = hashers.make_password(user["password"])
    User.objects.create(
        username=user["name"], password=encoded, is_active=user["active"]
    )
    return encoded


def lets_in(name, password):
    """Some hashers raise for a NUL; nobody is let in by that."""
    try:
        # What Django would hash afresh stays as it is.
        with transaction.atomic():
            user = authenticate(username=name, password=password)
            transaction.set_rollback(True)
        return user is not None
    except ValueError:
        return False


def main():
    task = json.load(sys.stdin)
    call_command("migrate", verbosity=0)
    made = {user["name"]: make(user) for user in task["users"]}
    answers = [lets_in(*case) for case in task["cases"]]
    json.dump({"hashes": made, "answers": answers}, sys.stdout)


if __name__ == "__main__":
    main()
