"""`mock-server`: the only reader of arguments, environment and files."""

from __future__ import annotations

import sys

try:  # this takes long enough for a Ctrl-C
    import argparse
    import os
    import socket
    import time
    from collections.abc import Callable, Sequence
    from functools import partial
    from importlib.metadata import PackageNotFoundError, version
    from ipaddress import ip_address
    from pathlib import Path
    from typing import Final, NoReturn

    from mock_server.clock import SimClock
    from mock_server.config import DEFAULT_WORLD, WorldError, load_world, preset_names, read_source
    from mock_server.exits import Exit, complain, guarded
    from mock_server.kit.check.options import add_check_options
    from mock_server.kit.conform.options import KEY_VARIABLE, add_options
    from mock_server.kit.options import UnusableError, add_coverage_options, add_verdict_options
    from mock_server.kit.proxy.options import add_proxy_options
    from mock_server.launch import STOP_WITH_STDIN
    from mock_server.schema import LEAST_TIME_SCALE, MOST_TIME_SCALE
except KeyboardInterrupt:
    sys.exit(130)  # Exit.INTERRUPTED, which may not have been imported yet

PROGRAM: Final = "mock-server"
DISTRIBUTION: Final = "apiflowx-harness"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return guarded(PROGRAM, partial(_run, argv))


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = _parser().parse_args(argv)
        commands = {
            "serve": _serve,
            "openapi": _openapi,
            "worlds": _worlds,
            "verdict": _verdict,
            "coverage": _coverage,
            "conform": _conform,
            "check-client": _check_client,
            "proxy": _proxy,
        }
        command = commands[args.command]
        return command(args)
    except BrokenPipeError:  # the reader has seen enough; the interpreter must not try to flush again
        _discard_output()
        return Exit.UNREAD
    except (WorldError, UsageError, UnusableError) as error:
        complain(PROGRAM, error)
        return Exit.UNUSABLE


class UsageError(ValueError):
    """A mistake of the user; the message is one line."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the usage is in ``--help``."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        raise UsageError(f"{message}; see `{self.prog} --help`")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(PROGRAM, description="A simulated LLM gateway that keeps the API's contract.")
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the mock", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    _add_listening(serve)
    serve.add_argument("--world", default=DEFAULT_WORLD, metavar="NAME|FILE", help="a preset, or a world file")
    serve.add_argument("--seed", default=0, type=int, help="decides every answer, latency and fault")
    serve.add_argument(
        "--time-scale", default=1.0, type=_scale, metavar="X", help="multiplies every simulated duration"
    )
    serve.add_argument(
        "--admin-token", metavar="T", help="what /__mock__/ wants in X-Mock-Admin-Token; or $MOCK_ADMIN_TOKEN"
    )
    serve.add_argument("--cors", action="store_true", help="let web pages of any origin call the mock")
    serve.add_argument("--tls-cert", metavar="FILE", help="serve https with this certificate, PEM; needs --tls-key")
    serve.add_argument("--tls-key", metavar="FILE", help="the certificate's private key, PEM, without a password")
    openapi = commands.add_parser("openapi", help="print the API's OpenAPI 3.1 document")
    openapi.add_argument(
        "--with-directives", action="store_true", help="with what is the mock's own: its directives and control plane"
    )
    openapi.add_argument("--output", type=Path, metavar="FILE", help="write it to FILE instead")
    worlds = commands.add_parser("worlds", help="list the preset worlds, or print one as TOML")
    worlds.add_argument("name", nargs="?", metavar="NAME", help="the world to print, to copy and edit")
    add_verdict_options(commands.add_parser("verdict", help="judge a client by what the mock saw of it"))
    add_coverage_options(commands.add_parser("coverage", help="tell which errors and faults a client's tests met"))
    add_check_options(
        commands.add_parser("check-client", help="run a client once for each fault of a plan, and judge it")
    )
    conformance = "does a gateway, mock or real, keep the contract?"
    add_options(
        commands.add_parser("conform", help=conformance, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    )
    passing = "pass calls on to a gateway, check both sides, and learn a world from what is seen"
    proxy = commands.add_parser("proxy", help=passing, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    add_proxy_options(proxy)
    _add_listening(proxy)
    return parser


def _add_listening(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", default=8080, type=_port, help="port to listen on; 0 picks a free one")
    parser.add_argument(
        STOP_WITH_STDIN,
        action="store_true",
        help="stop when stdin is closed, so that it does not outlive who started it",
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"must be 0 to 65535, not {text!r}")
    return int(text)


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not LEAST_TIME_SCALE <= scale <= MOST_TIME_SCALE:
        raise argparse.ArgumentTypeError(
            f"must be a number from {LEAST_TIME_SCALE:g} to {MOST_TIME_SCALE:g}, not {text!r}"
        )
    return scale


def _serve(args: argparse.Namespace) -> int:
    # Imported here: listing worlds must not pay for the server and the corpus.
    from mock_server.core.engine import Engine
    from mock_server.http.app import MockApp
    from mock_server.http.server import Certificate, bind, check_certificate, serve

    world = load_world(args.world)
    token = _token(args)
    _refuse_open_host(args.host, token)
    if (args.tls_cert is None) != (args.tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together")
    tls = None if args.tls_cert is None else Certificate(args.tls_cert, args.tls_key)
    try:
        if tls is not None:
            check_certificate(tls)
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise UsageError(
            f"cannot use --tls-cert {args.tls_cert} with --tls-key {args.tls_key}: {reason}; give two PEM files"
        ) from None
    with _listener(args, bind) as listener:
        clock = SimClock(args.time_scale, time.monotonic)
        engine = Engine(world, args.seed, clock.now())
        app = MockApp(
            engine,
            clock,
            time.time,
            world_name=args.world,
            version=_version(),
            admin_token=token,
            cors=args.cors,
        )
        url = f"{'http' if tls is None else 'https'}://{_authority(args.host, listener)}"
        serve(app, listener, url, tls, stop_with=sys.stdin.fileno() if args.stop_with_stdin else None)
    return Exit.PASSED


def _listener(args: argparse.Namespace, bind: Callable[[str, int], socket.socket]) -> socket.socket:
    try:
        return bind(args.host, args.port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"cannot listen on {args.host}:{args.port}: {reason}; choose another --port, or 0 for a free one"
        ) from None


def _authority(host: str, listener: socket.socket) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _refuse_open_host(host: str, token: str | None) -> None:
    """Without a token, the control plane must not be reachable from other machines."""
    if token is not None and not (token and token.isascii() and token.isprintable() and " " not in token):
        raise UsageError("--admin-token must be visible ASCII characters")
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and token is None:
        raise UsageError(
            f"--host {host} is not a loopback address: give --admin-token, or use 127.0.0.1, ::1 or localhost"
        )


def _verdict(args: argparse.Namespace) -> int:
    # Imported here to keep the other commands quick, as below.
    from mock_server.kit.verdict import verdict

    args.admin_token = _token(args)
    return verdict(args, _show)


def _coverage(args: argparse.Namespace) -> int:
    from mock_server.kit.coverage import coverage

    args.admin_token = _token(args)
    return coverage(args, _show)


def _token(args: argparse.Namespace) -> str | None:
    """What the control plane wants to be shown, if anything."""
    given: str | None = args.admin_token
    return given if given is not None else os.environ.get("MOCK_ADMIN_TOKEN") or None


def _openapi(args: argparse.Namespace) -> int:
    # Imported here to keep the other commands quick.
    from mock_server.contract.openapi import indented, openapi
    from mock_server.http.control.document import whole_openapi

    document = indented((whole_openapi if args.with_directives else openapi)(_version()))
    if args.output is None:
        return _show(document.decode())
    try:
        args.output.write_bytes(document)
    except OSError as error:
        raise UsageError(f"cannot write {args.output}: {(error.strerror or str(error)).lower()}") from None
    return Exit.PASSED


def _worlds(args: argparse.Namespace) -> int:
    if args.name is not None:
        return _show(read_source(args.name))
    marks = {DEFAULT_WORLD: " (default)"}
    return _show("".join(f"{name:<14}{load_world(name).description}{marks.get(name, '')}\n" for name in preset_names()))


def _conform(args: argparse.Namespace) -> int:
    # Imported here to keep the other commands quick.
    from mock_server.kit.conform.command import conform

    said, code = conform(args, os.environ.get(KEY_VARIABLE))
    _show(said.encode(sys.stdout.encoding, "replace").decode(sys.stdout.encoding))
    return code


def _check_client(args: argparse.Namespace) -> int:
    # Imported here to keep the other commands quick.
    from mock_server.kit.check.command import check_client

    said, code = check_client(args, os.environ)
    _show(said.encode(sys.stdout.encoding, "replace").decode(sys.stdout.encoding))
    return code


def _proxy(args: argparse.Namespace) -> int:
    # Imported here to keep the other commands quick.
    from mock_server.http.server import bind
    from mock_server.kit.proxy.command import proxy

    with _listener(args, bind) as listener:
        said, code = proxy(args, listener, f"http://{_authority(args.host, listener)}")
    _show(said.encode(sys.stdout.encoding, "replace").decode(sys.stdout.encoding))
    return code


def _show(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise UsageError(f"cannot write the output: {(error.strerror or str(error)).lower()}") from None
    return Exit.PASSED


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "0+unknown"


def run() -> NoReturn:
    """Entry point of the command line: an interrupt ends it quietly."""
    try:
        code = main()
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    sys.exit(code)


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    run()
