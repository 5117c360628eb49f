"""People: who has an account, and what an administrator does about it."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from sqpsych_site import people
from sqpsych_site.forms import AccountForm, RoleForm
from sqpsych_site.models import User
from sqpsych_site.people import AccountRefused
from sqpsych_site.roles import AuthenticatedRequest, Verb, require

PAGE_SIZE = 50


class SeeOther(HttpResponseRedirect):
    """After a write: fetch that page, whatever the method was."""

    status_code = 303


@require_http_methods(["GET", "POST"])
@require(Verb.MANAGE_USERS)
def person_list(request: AuthenticatedRequest) -> HttpResponseBase:
    """Everybody by name, and the form for one more."""
    if request.method == "GET":
        return _list_page(request, AccountForm())
    form = AccountForm(request.POST)
    if not form.is_valid():
        return _list_page(request, form, status=422)
    try:
        user, password = people.create_account(**form.cleaned_data, by=request.user)
    except AccountRefused as refused:
        form.add_error("username", str(refused))
        return _list_page(request, form, status=422)
    return _password_page(request, user, password, title=f"The account {user.username} is made")


def _list_page(request: AuthenticatedRequest, form: AccountForm, status: int = 200) -> HttpResponse:
    after = request.GET.get("after", "")[:150]
    found = list(
        User.objects.filter(username__gt=after)
        .only("username", "role", "is_active", "last_login", "date_joined")
        .order_by("username")[: PAGE_SIZE + 1]
    )
    context = {
        "people": found[:PAGE_SIZE],
        "next_after": found[PAGE_SIZE - 1].username if len(found) > PAGE_SIZE else "",
        "is_first": not after,
        "form": form,
    }
    return render(request, "people/list.html", context, status=status)


def _password_page(
    request: AuthenticatedRequest, user: User, password: str, *, title: str
) -> HttpResponse:
    """The password, in the answer to the request that made it and nowhere else."""
    context = {"person": user, "password": password, "title": title}
    return render(request, "people/password.html", context)


@require_GET
@require(Verb.MANAGE_USERS)
def person_detail(request: AuthenticatedRequest, user_id: int) -> HttpResponse:
    """One account and what can be changed about it."""
    person = get_object_or_404(User, pk=user_id)
    return _detail_page(request, person)


def _detail_page(
    request: AuthenticatedRequest, person: User, problem: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "person": person,
        "role_form": RoleForm(initial={"role": person.role}),
        "is_me": person.pk == request.user.pk,
        "problem": problem,
    }
    return render(request, "people/person.html", context, status=status)


@require_POST
@require(Verb.MANAGE_USERS)
def person_role(request: AuthenticatedRequest, user_id: int) -> HttpResponseBase:
    """Give another role."""
    person = get_object_or_404(User, pk=user_id)
    form = RoleForm(request.POST)
    if not form.is_valid():
        return _detail_page(request, person, "There is no such role.", 422)
    try:
        people.set_role(user=person, role=form.cleaned_data["role"], by=request.user)
    except AccountRefused as refused:
        return _detail_page(request, person, str(refused), 422)
    messages.success(request, f"{person.username} is now a {person.get_role_display().lower()}.")
    return SeeOther(reverse("person", args=[person.pk]))


@require_POST
@require(Verb.MANAGE_USERS)
def person_active(request: AuthenticatedRequest, user_id: int) -> HttpResponseBase:
    """Switch the account off or on."""
    person = get_object_or_404(User, pk=user_id)
    active = request.POST.get("active") == "yes"
    try:
        people.set_active(user=person, active=active, by=request.user)
    except AccountRefused as refused:
        return _detail_page(request, person, str(refused), 422)
    messages.success(request, f"{person.username} is switched {'on' if active else 'off'}.")
    return SeeOther(reverse("person", args=[person.pk]))


@require_POST
@require(Verb.MANAGE_USERS)
def person_password(request: AuthenticatedRequest, user_id: int) -> HttpResponseBase:
    """Make a new password and show it once."""
    person = get_object_or_404(User, pk=user_id)
    if person.pk == request.user.pk:
        return _detail_page(request, person, "Change your own password in your own menu.", 422)
    password = people.new_password(user=person, by=request.user)
    return _password_page(request, person, password, title=f"New password for {person.username}")
