"""The init container that creates roles and schemas, run on a real PostgreSQL server of its own."""

import concurrent.futures
import glob
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import tempfile

import pytest

from charts import OWNERS, ROOT, STYLES, find, render

# The scripts are the same with either, as test_helm_versions.py has it.
HELMS = ["helm4"]

# Of all styles that with the most roles. The scripts are the same in each, as a test below has it.
STYLE = "command-reply"
DATABASE = "command_reply"

# Not fit for a URL, and a trial for every place where it is quoted.
PASSWORDS = {role: f'it\'s "{role}" $HOME %41 \\' for role in [*OWNERS[STYLE], "auditor"]}


def scripts(style):
    return find(render(style), "ConfigMap", "provision")["data"]


def binaries():
    """Where PostgreSQL's server is, as the sandbox looks for it."""
    for folder in [
        os.environ.get("PG_BINDIR"),
        os.path.dirname(shutil.which("initdb") or ""),
        *glob.glob("/usr/lib/postgresql/*/bin"),
    ]:
        if folder and os.path.exists(f"{folder}/initdb"):
            # Often a link to where the other programs are.
            return pathlib.Path(f"{folder}/initdb").resolve().parent
    pytest.fail("no PostgreSQL found: install its server, or set PG_BINDIR to the folder of initdb")


class Server:
    """A cluster in a folder of its own. Administered by a role that is no superuser, as with a managed service."""

    def __init__(self, folder):
        self.bin, self.data = binaries(), folder / "data"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # PostgreSQL does not run as root.
        self.user = {}
        if os.geteuid() == 0:
            account = next(pwd.getpwnam(name) for name in ("postgres", "nobody"))
            os.chown(folder, account.pw_uid, account.pw_gid)
            self.user = dict(user=account.pw_uid, group=account.pw_gid, extra_groups=[])
        self.call(
            "initdb",
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={self.password_file(folder)}",
            "--no-sync",
        )
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        self.call("pg_ctl", "--wait", f"--log={folder}/log", f"--options={options}", "start")

    def password_file(self, folder):
        file = folder / "password"
        file.write_text("super")
        file.chmod(0o644)
        return file

    def call(self, program, *arguments):
        command = [self.bin / program, f"--pgdata={self.data}", *arguments]
        subprocess.run(command, check=True, cwd=self.data.parent, stdout=subprocess.DEVNULL, **self.user)

    def environment(self, user, password):
        path = f"{self.bin}:{os.environ['PATH']}"
        return {"PATH": path, "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": user, "PGPASSWORD": password}

    def sql(self, statement, user="postgres", password="super", database="postgres"):
        """The only column of the answer; or why there is none."""
        command = [
            self.bin / "psql",
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            f"--dbname={database}",
            f"--command={statement}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment(user, password))
        return done.stderr.strip() if done.returncode else done.stdout.strip()

    def provision(self, schema, passwords=PASSWORDS, user="admin", password="admin"):
        container = {
            "PROVISION_DATABASE": DATABASE,
            "PROVISION_SCHEMA": schema,
            "PROVISION_PASSWORD": passwords[schema],
            "PROVISION_AUDITOR_PASSWORD": passwords["auditor"],
        }
        with tempfile.TemporaryDirectory() as folder:
            for name, text in scripts(STYLE).items():
                (pathlib.Path(folder) / name).write_text(text)
            command = ["sh", f"{folder}/provision.sh"]
            return subprocess.run(
                command, capture_output=True, text=True, env=self.environment(user, password) | container
            )


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="hw-provision-") as folder:
        server = Server(pathlib.Path(folder))
        try:
            server.sql(
                "create role admin login createdb createrole password 'admin'; grant pg_monitor to admin with admin option"
            )
            yield server
        finally:
            server.call("pg_ctl", "--wait", "--mode=immediate", "stop")


@pytest.fixture(scope="module")
def provisioned(server):
    """Sixteen at once, as when several replicas of all services start."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for done in pool.map(server.provision, OWNERS[STYLE] * 4):
            assert done.returncode == 0, done.stderr
            assert done.stdout + done.stderr == ""
    return server


def as_role(server, role, statement):
    return server.sql(statement, f"{DATABASE}_{role}", PASSWORDS[role], DATABASE)


@pytest.mark.parametrize("service", OWNERS[STYLE])
def test_a_service_finds_its_own_schema_without_naming_it(provisioned, service):
    assert as_role(provisioned, service, "select current_schema()") == service
    assert (
        as_role(provisioned, service, f"create table mine_{service} (id int); insert into mine_{service} values (1)")
        == ""
    )
    assert (
        as_role(provisioned, service, f"select schemaname from pg_tables where tablename = 'mine_{service}'") == service
    )


def test_no_service_reaches_another_s_tables(provisioned):
    as_role(provisioned, "billing", "create table private (id int)")
    for other in OWNERS[STYLE]:
        if other == "billing":
            continue
        assert "permission denied" in as_role(provisioned, other, "select * from billing.private")
        assert "permission denied" in as_role(provisioned, other, "create table billing.intruder (id int)")
        assert "permission denied" in as_role(provisioned, other, "create table public.intruder (id int)")


def test_the_auditor_sees_what_is_made_later_and_changes_nothing(provisioned):
    as_role(provisioned, "order", "create table later (id int); insert into later values (7)")
    assert as_role(provisioned, "auditor", 'select id from "order".later') == "7"
    assert "read-only transaction" in as_role(provisioned, "auditor", 'insert into "order".later values (8)')
    assert "permission denied" in as_role(
        provisioned, "auditor", 'begin read write; insert into "order".later values (8)'
    )
    assert as_role(provisioned, "auditor", "select pg_has_role('pg_monitor', 'member')") == "t"


def test_nobody_else_gets_in(provisioned):
    provisioned.sql("create role stranger login password 'stranger'")
    assert "permission denied for database" in provisioned.sql("select 1", "stranger", "stranger", DATABASE)


def test_again_it_changes_nothing_and_loses_nothing(provisioned):
    as_role(provisioned, "notification", "create table precious (id int); insert into precious values (1), (2)")
    settings = "rolname || coalesce(rolconfig::text, '')"
    state = f"select string_agg({settings}, ',' order by rolname) from pg_roles where rolname like '{DATABASE}%'"
    before = provisioned.sql(state)
    assert provisioned.provision("notification").returncode == 0
    assert as_role(provisioned, "notification", "select count(*) from precious") == "2"
    assert provisioned.sql(state) == before


def test_a_changed_password_is_taken_over(provisioned):
    assert provisioned.provision("billing", PASSWORDS | {"billing": "another"}).returncode == 0
    assert "authentication failed" in as_role(provisioned, "billing", "select 1")
    assert provisioned.provision("billing").returncode == 0
    assert as_role(provisioned, "billing", "select 1") == "1"


def test_a_superuser_can_do_it_too(provisioned):
    assert provisioned.provision("order", user="postgres", password="super").returncode == 0


def test_a_failure_is_one(provisioned):
    done = provisioned.provision("order", password="wrong")
    assert done.returncode != 0 and "authentication failed" in done.stderr
    provisioned.sql(f"create role weak login password 'weak'; grant connect on database {DATABASE} to weak")
    done = provisioned.provision("order", user="weak", password="weak")
    assert done.returncode != 0 and "permission denied" in done.stderr


@pytest.mark.parametrize("style", STYLES)
def test_every_style_has_the_same_scripts(style):
    assert scripts(style) == scripts(STYLE)


def test_nothing_is_ever_dropped():
    sql = scripts(STYLE)["provision.sql"]
    statements = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
    assert not {"drop", "delete", "truncate"} & set(statements.lower().split())


def test_it_does_what_the_sandbox_does():
    """Statement for statement what shared/store/src/provision.rs grants and sets, so that services find the same place here."""
    rust = (ROOT / "shared" / "store" / "src" / "provision.rs").read_text()
    sql = scripts(STYLE)["provision.sql"]
    same = [
        ("set default_transaction_read_only = on", "set default_transaction_read_only = on"),
        ("grant pg_monitor to {auditor}", 'grant pg_monitor to :"auditor"'),
        ("revoke all on database {name} from public", 'revoke all on database :"database" from public'),
        ("revoke all on schema public from public", "revoke all on schema public from public"),
        ("grant {role} to current_user", 'grant :"role" to current_user'),
        ('set search_path = \\"{schema}\\"', 'set search_path = :"schema"'),
        (
            'create schema \\"{schema}\\" authorization {role}',
            'create schema if not exists :"schema" authorization :"role"',
        ),
        ('grant usage on schema \\"{schema}\\" to {auditor}', 'grant usage on schema :"schema" to :"auditor"'),
        ("grant select on tables to {auditor}", 'grant select on tables to :"auditor"'),
    ]
    for theirs, ours in same:
        assert theirs in rust and ours in sql, ours
    # Something new there has to come here, too.
    assert rust.count("&mut database,") == 13
