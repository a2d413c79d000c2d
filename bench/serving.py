"""Runs a server and its clients, and reads what these report."""

import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import measure
from measure import BUILD, CERTIFICATES, Failed, Lap, Memory, Skipped
from workloads import NGINX, RAW

SPARE = 100  # descriptors that a program needs for itself
START_LIMIT = 10  # seconds until a server is there

NGINX_TLS = f""" ssl;
        ssl_certificate {CERTIFICATES}/a.pem;
        ssl_certificate_key {CERTIFICATES}/a.pem;
        ssl_protocols TLSv1.2 TLSv1.3"""

# It closes idle connections when it has less than a sixteenth left for others.
NGINX_CONF = """
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log stderr crit;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {host}:{port} backlog=4096{ssl};
        default_type text/plain;
        location = / {{ return 200 "Hello, world!\\n"; }}
    }}
}}
"""


def permit_descriptors(connections):
    """For this process and those it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = connections + SPARE
    if soft != resource.RLIM_INFINITY and soft < want:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (want, max(want, hard)))
        except (OSError, ValueError) as why:
            raise Skipped(f"{want} descriptors are needed, and {hard} are permitted") from why


def free_port(host):
    with socket.socket() as s:
        s.bind((host, 0))
        return s.getsockname()[1]


def with_children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
        return [pid, *map(int, children.read().split())]


class Server:
    """A contestant that serves, from start to end. `n` connections are to come, if that matters to it (0: it does not);
    `wrap` is a program that counts something."""

    def __init__(self, workload, who, n=0, wrap=()):
        permit_descriptors(workload.size)
        self.workload, self.who, self.n, self.wrap = workload, who, n, list(wrap)
        self.cpu, self.client_cpu = measure.processors(False)
        self.host, self.port, self.clients = measure.next_host(), 0, None

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory()
        self.err = tempfile.TemporaryFile("w+", errors="replace")
        self.process = subprocess.Popen(
            ["taskset", "-c", str(self.cpu), *self.wrap, *self.command()], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self.err, text=True, start_new_session=True,
            env=measure.environment(self.who, bool(self.wrap)))
        try:
            self.await_port()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind, *_):
        died = self.process.poll() is not None
        self.stop()
        if died and kind is None:
            raise self.failure("the server has ended")

    def command(self):
        w = self.workload
        if self.who == NGINX:
            return self.nginx_command()
        program = [os.path.join(BUILD, "server"), w.work[RAW]] if self.who == RAW else \
            measure.command(self.who, w.work[self.who])
        return [*program, self.host, "0", str(self.n), str(w.size), ""]

    def nginx_command(self):
        nginx = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if not nginx:
            raise Skipped("nginx is lacking")
        self.port = free_port(self.host)
        conf = os.path.join(self.directory.name, "conf")
        with open(conf, "w", encoding="utf-8") as out:
            out.write(NGINX_CONF.format(directory=self.directory.name, host=self.host, port=self.port,
                                        connections=2 * self.workload.size + SPARE,
                                        ssl=NGINX_TLS if self.workload.over_tls else ""))
        os.chmod(self.directory.name, 0o755)
        return [nginx, "-p", self.directory.name, "-c", conf]

    def await_port(self):
        if self.who == NGINX:
            self.await_call()
            return
        line = self.process.stdout.readline().split()
        if not line:
            self.process.wait()
            raise self.failure("the server has not begun")
        self.port = int(line[1])

    def await_call(self):
        """Until there is an answer: the port is open before the process that serves has begun. It answers plain
        requests where it wants TLS, too."""
        limit = time.monotonic() + START_LIMIT
        while self.process.poll() is None and time.monotonic() < limit:
            try:
                with socket.create_connection((self.host, self.port), 1) as s:
                    s.settimeout(START_LIMIT)
                    s.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    if s.recv(1):
                        return
            except OSError:
                pass
            time.sleep(0.01)
        raise self.failure("the server has not begun")

    def failure(self, what):
        self.err.seek(0)
        said = self.err.read().strip()
        if self.process.returncode == measure.SKIPPED_STATUS:
            return Skipped(said.split("\n")[0])
        return Failed(f"{self.workload.name}, {self.who}: {what}: {said}")

    def client(self, operations=0, seconds=0.0):
        """What the clients print. They stay until the server has ended, so that nobody measures how they leave."""
        w = self.workload
        program = "tls_client" if w.over_tls else "client"
        pids = [] if self.wrap else with_children(self.process.pid)
        args = [w.peer, self.host, self.port, w.size, operations, seconds, *pids]
        self.clients = subprocess.Popen(
            ["taskset", "-c", str(self.client_cpu), os.path.join(BUILD, program), *map(str, args)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.err, text=True,
            env=dict(os.environ, BENCH_CERTIFICATES=CERTIFICATES))
        there, _, _ = select.select([self.clients.stdout], [], [], measure.LIMIT)
        line = self.clients.stdout.readline() if there else ""
        if not line:
            self.process.poll()
            raise self.failure("the clients have failed" if there else "took too long")
        return line

    def stop(self):
        """A program that counts holds such signals back, and reports when what it counts has ended."""
        self.signal(signal.SIGTERM)
        try:
            self.out, _ = self.process.communicate(timeout=START_LIMIT)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self.out, _ = self.process.communicate()
        if self.clients:
            self.clients.kill()
            self.clients.communicate()
        self.directory.cleanup()

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass


def lap(workload, who, seconds):
    with Server(workload, who) as server:
        return Lap(*map(float, server.client(seconds=seconds * workload.times).split()))


def memory(workload, who):
    n = workload.size
    with Server(workload, who, n + 2) as server:
        in_all, resident = map(float, server.client().split()[1:])
    in_lua = [float(count) for count in re.findall(r"^memory (\d+)$", server.out, re.M)]
    return Memory((in_lua[1] - in_lua[0]) / (n + 1) if in_lua else None, in_all, resident)


def system_calls(workload, who, n):
    """Name -> number of the system calls that n operations make, besides those for the connections' coming."""
    def traced(n):
        with tempfile.NamedTemporaryFile("r") as report:
            with Server(workload, who, wrap=measure.strace(report.name)) as server:
                server.client(operations=n)
            return measure.traced_calls(report.read())
    return measure.twice(traced, n)
