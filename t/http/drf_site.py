# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# The site of Django REST framework that httpd is compared with: its tables,
# made by its own migrations, its users and tokens, and if asked its server.
# DJANGO_DATABASE is JSON for DATABASES; standard input is
#     {"users": [{"name", "password", "active", "key"}...], "oauth": [...]}
# and standard output one line, {"ready": true}.  With a port as argument it
# then serves /api-token-auth/ and /api/ there, on loopback, until it is ended;
# and /behind/, which takes its user from the header X-Remote-User.
import json
import os
import sys
from datetime import datetime, timezone
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings

OAUTH = os.environ.get("DJANGO_OAUTH") == "1"
PEOPLE = os.environ.get("DJANGO_PEOPLE") == "1"

settings.configure(
    SECRET_KEY="test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "rest_framework",
        "rest_framework.authtoken",
    ]
    + (["oauth2_provider"] if OAUTH else [])
    + (["people"] if PEOPLE else []),
    AUTH_USER_MODEL="people.Person" if PEOPLE else "auth.User",
    DATABASES={"default": json.loads(os.environ["DJANGO_DATABASE"])},
    AUTHENTICATION_BACKENDS=[
        "django.contrib.auth.backends.ModelBackend",
        "django.contrib.auth.backends.RemoteUserBackend",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework.authentication.TokenAuthentication"
        ],
    },
)
django.setup()

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import path
from rest_framework.authentication import RemoteUserAuthentication
from rest_framework.authtoken import views
from rest_framework.authtoken.models import Token
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView


class ObtainAuthToken(views.ObtainAuthToken):
    # As ours: a stale token is no reason not to get another.
    authentication_classes = ()


class Api(APIView):
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": request.user.username})


class HeaderUser(RemoteUserAuthentication):
    header = "HTTP_X_REMOTE_USER"


class Behind(APIView):
    authentication_classes = [HeaderUser]
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": request.user.username})


urlpatterns = [
    path("behind/", Behind.as_view()),
    path("api-token-auth/", ObtainAuthToken.as_view()),
    path("api/", Api.as_view()),
]


User = get_user_model()


def add_oauth(row):
    from oauth2_provider.models import AccessToken, Application

    application, _ = Application.objects.get_or_create(
        client_id=row["client"],
        defaults={
            "client_type": "confidential",
            "authorization_grant_type": "client-credentials",
        },
    )
    AccessToken.objects.create(
        user=User.objects.filter(username=row["user"]).first(),
        token=row["token"],
        application=application,
        expires=datetime.fromtimestamp(row["expires"], timezone.utc),
        scope=row["scope"],
    )


def make(task):
    call_command("migrate", run_syncdb=True, verbosity=0)
    for row in task["users"]:
        user = User.objects.create_user(row["name"], password=row["password"])
        if row.get("key"):
            Token.objects.create(user=user, key=row["key"])
        if not row.get("active", True):
            user.is_active = False
            user.save()
    for row in task.get("oauth", []):
        add_oauth(row)


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


def main():
    make(json.load(sys.stdin))
    server = None
    if len(sys.argv) > 1:
        server = make_server(
            "127.0.0.1",
            int(sys.argv[1]),
            get_wsgi_application(),
            handler_class=Quiet,
        )
    print(json.dumps({"ready": True}), flush=True)
    if server:
        server.serve_forever()


if __name__ == "__main__":
    main()
