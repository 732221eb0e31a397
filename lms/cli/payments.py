"""`lms payments`: do the books of organizations agree? And its other commands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import text

from lms.checkout.reconcile import provider as at_provider
from lms.checkout.reconcile.books import check_books
from lms.checkout.reconcile.follow import follow
from lms.checkout.reconcile.report import CheckResult
from lms.checkout.reconcile.steps import Step
from lms.cli.databases import serving_database
from lms.cli.days import Day
from lms.cli.group import EXPECTED, in_one_line, main
from lms.cli.payment_keys import rotate_keys
from lms.cli.tables import aligned
from lms.config import Settings
from lms.core.encryption import UnreadableSecretError
from lms.core.queue import Doorbell
from lms.payments.accounts import StoredAccount, stored_account
from lms.payments.errors import ProviderNotConfiguredError
from lms.payments.providers.base import ProviderRejected, ProviderUnavailable
from lms.payments.providers.registry import Providers
from lms.payments.providers.stripe_keys import refused_key
from lms.platform.errors import UnknownOrganizationError
from tenants.errors import OrganizationMigratingError, OrganizationNotFoundError
from tenants.session import PLATFORM, STILL_SETTLING, Database, OrganizationScope

FIND_ALL = text("""
    SELECT id, slug, state FROM platform.organizations WHERE state = ANY(:states) ORDER BY id
""")
FIND_NAMED = text("""
    SELECT id, slug, state FROM platform.organizations WHERE slug = ANY(:slugs) ORDER BY id
""")


@dataclass(slots=True)
class Outcome:
    """What came of one organization.

    Attributes:
        id: the organization's.
        slug: as people know it.
        state: when the run began.
        checks: what was checked; empty when nothing could be.
        error: why its books could not be checked, in one line.
        provider_error: why the provider's list could not be compared, in one line; the books were
            checked.
    """

    id: UUID
    slug: str
    state: str
    checks: list[CheckResult] = field(default_factory=list)
    error: str | None = None
    provider_error: str | None = None

    @property
    def total(self) -> int:
        """How many differences were found."""
        return sum(check.total for check in self.checks)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How organizations' books are compared with their providers'.

    Attributes:
        providers: makes the connections.
        since: only what was made since then; None for all.
        doorbell: given to book what the provider took back, and to compare once more.
    """

    providers: Providers
    since: datetime | None
    doorbell: Doorbell | None


class IncompleteError(click.ClickException):
    """Something kept the command from checking everything; exit status 2, unlike findings."""

    exit_code = 2


@main.group()
def payments() -> None:
    """Look after the money of organizations."""


payments.add_command(rotate_keys)


@payments.command(short_help="Check that the books of organizations agree.")
@click.option(
    "--organization",
    "slugs",
    metavar="SLUG",
    multiple=True,
    help="Check this organization only; may be given several times.",
)
@click.option("--provider", is_flag=True, help="Compare with the payment provider's list as well.")
@click.option(
    "--since",
    metavar="DAY",
    type=Day(),
    help="With --provider: only its payments since this day (UTC), 2027-01-31.",
)
@click.option(
    "--follow",
    is_flag=True,
    help="With --provider: book what it took back (refunds, disputes) and no webhook told us of.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def reconcile(
    context: click.Context,
    *,
    slugs: tuple[str, ...],
    provider: bool,
    since: datetime | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Check that the books of organizations agree.

    Recomputes wallets, journal, payments, refunds, disputes, seats and receipts from each other,
    for every organization that can have money: active, suspended or being deleted. May run while
    people buy, and reads only, unless --follow is given. Amounts are minor units.
    docs/operations.md says what findings mean.

    The exit status is 0 when all books agree, 1 when something differs, and 2 when something could
    not be checked: it is named, and the others were checked. An organization whose provider could
    not be asked has its own books checked all the same.
    """
    if since is not None and not provider:
        raise click.UsageError("--since goes with --provider: our own books are checked whole.")
    if follow and not provider:
        raise click.UsageError("--follow goes with --provider, which is what is followed.")
    with _errors_apart():
        comparison = None
        if provider:
            settings = Settings.from_environment()
            doorbell = Doorbell(settings.redis_url) if follow else None
            comparison = Comparison(Providers.from_settings(settings), since, doorbell)
        with serving_database() as database:
            outcomes = _find(database, slugs)
            for outcome in _in_progress(outcomes):
                _check(database, outcome, comparison)
    _tell(outcomes, as_json=as_json)
    _refuse_if_incomplete(outcomes)
    context.exit(1 if any(outcome.total for outcome in outcomes) else 0)


def _refuse_if_incomplete(outcomes: Sequence[Outcome]) -> None:
    """End with exit status 2 when something was not checked."""
    unchecked = sum(outcome.error is not None for outcome in outcomes)
    uncompared = sum(outcome.provider_error is not None for outcome in outcomes)
    told: list[str] = []
    if unchecked:
        told.append(f"{unchecked} of {len(outcomes)} organizations could not be checked.")
    if uncompared:
        told.append(
            f"The provider's list could not be compared for {uncompared} of {len(outcomes)}"
            " organizations."
        )
    if told:
        raise IncompleteError(" ".join(told))


@contextmanager
def _errors_apart() -> Iterator[None]:
    """Give errors of the whole command another exit status than findings have."""
    try:
        yield
    except EXPECTED as error:
        raise IncompleteError(in_one_line(error)) from error


def _find(database: Database, slugs: Sequence[str]) -> list[Outcome]:
    with database.transaction(PLATFORM) as session:
        if slugs:
            found = session.execute(FIND_NAMED, {"slugs": list(slugs)}).all()
        else:
            found = session.execute(FIND_ALL, {"states": list(STILL_SETTLING)}).all()
    known = {row.slug for row in found}
    for slug in slugs:
        if slug not in known:
            raise UnknownOrganizationError(slug)
    return [Outcome(row.id, row.slug, row.state) for row in found]


def _in_progress(outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
    console = Console(stderr=True)
    with Progress(
        TextColumn("Organizations"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[slug]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,  # a timer's mail would be an empty line
    ) as progress:
        task = progress.add_task("organizations", total=len(outcomes), slug="")
        for outcome in outcomes:
            progress.update(task, slug=outcome.slug)
            yield outcome
            progress.advance(task)


def _check(database: Database, outcome: Outcome, comparison: Comparison | None) -> None:
    """Check one organization; what keeps it from being checked is its own affair."""
    step = partial(database.transaction, OrganizationScope(outcome.id, STILL_SETTLING))
    try:
        with step() as session:
            outcome.checks += check_books(session, patient=True)
            account = stored_account(session)
        if comparison is not None:
            _compare(step, outcome, account, comparison)
    except OrganizationNotFoundError:
        outcome.error = f"it cannot be entered; when the run began it was {outcome.state}"
    except OrganizationMigratingError:
        outcome.error = "this version does not know its schema's revision; run `lms migrate`"
    except EXPECTED as error:
        outcome.error = in_one_line(error)


def _compare(
    step: Step, outcome: Outcome, account: StoredAccount | None, comparison: Comparison
) -> None:
    """Compare with the provider's lists; what keeps them from being read is told apart."""
    since, doorbell = comparison.since, comparison.doorbell
    try:
        provider = comparison.providers.for_organization(outcome.id, account, webhook_url=None)
        checks, _ = at_provider.compare(step, provider, since=since)
        if doorbell is not None and follow(step, doorbell, provider, checks):
            checks, _ = at_provider.compare(step, provider, since=since)
    except (ProviderNotConfiguredError, UnreadableSecretError) as error:
        outcome.provider_error = error.detail
    except ProviderRejected as error:
        outcome.provider_error = f"the provider refused to list payments: {error.message}"
    except ProviderUnavailable as error:
        outcome.provider_error = refused_key(error) or (
            "the provider could not be asked; try again later"
        )
    else:
        outcome.checks += checks


def _tell(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_as_json(outcomes), indent=2))
        return
    rows = [("ORGANIZATION", "CHECK", "SUBJECT", "ID", "EXPECTED", "FOUND"), *_rows(outcomes)]
    if len(rows) > 1:
        for line in aligned(rows):
            click.echo(line)
    for outcome in outcomes:
        for check in outcome.checks:
            if check.total > len(check.findings):
                more = check.total - len(check.findings)
                click.echo(f"{outcome.slug}: {check.name} has {more} more.")
        if outcome.error is not None:
            click.echo(f"{outcome.slug}: {outcome.error.rstrip('.')}.", err=True)
        if outcome.provider_error is not None:
            click.echo(
                f"{outcome.slug}: its own books were checked, differences: {outcome.total};"
                f" the provider's list was not: {outcome.provider_error.rstrip('.')}.",
                err=True,
            )
    total = sum(outcome.total for outcome in outcomes)
    checked = sum(outcome.error is None for outcome in outcomes)
    click.echo(f"Organizations checked: {checked}. Differences: {total}.")


def _rows(outcomes: Iterable[Outcome]) -> Iterator[tuple[str, ...]]:
    for outcome in outcomes:
        for check in outcome.checks:
            for one in check.findings:
                subject = (one.subject_type, one.subject_id)
                yield (outcome.slug, one.check, *subject, one.expected, one.found)


def _as_json(outcomes: Iterable[Outcome]) -> dict[str, object]:
    organizations = [
        {
            "id": str(outcome.id),
            "slug": outcome.slug,
            "error": outcome.error,
            "provider_error": outcome.provider_error,
            "total": outcome.total,
            "checks": [asdict(check) for check in outcome.checks],
        }
        for outcome in outcomes
    ]
    return {"total": sum(outcome.total for outcome in outcomes), "organizations": organizations}
