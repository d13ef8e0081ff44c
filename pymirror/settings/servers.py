"""nginx, Apache and Caddy: each serves the tree, JSON pages to clients that ask for them and HTML to all others.

HTML is the default because ``*/*`` is what some clients say that read HTML alone. Pages are asked for again each time;
files never change, so they are kept. Large pages have a packed copy beside them, for clients that accept gzip. Of the
folder nothing is open but what a tree has. https://packaging.python.org/en/latest/specifications/simple-repository-api/
"""

from __future__ import annotations

import re

from pymirror.errors import UsageError
from pymirror.settings.place import Site, refuse

_PLAIN = re.compile(r"[A-Za-z0-9_./+@:,-]+")
# What of a folder is the tree, as a pattern of what comes after the prefix.
_OPEN = r"(simple|project|pypi|packages|flat)(/|$)|(index|links)\.html$|$"
_PREFIX = re.compile(r"/(?:[A-Za-z0-9_~][A-Za-z0-9._~-]*/)*")


def make_nginx(site: Site | None, folder: str) -> str:
    """A file for nginx's ``conf.d``. Without ``site``, every name on port 80. Raises :class:`UsageError`."""
    folder = refuse(folder, "$", syntax="nginx")  # would be a variable, and nothing escapes it
    prefix = _prefix(site)
    lines = [f"    listen {_listen(site)}{' ssl' if _is_tls(site) else ''};"]
    if site and site.address is None:
        lines.append(f"    server_name {site.host};")
    if site and _is_tls(site):
        lines.append("    # The certificate is yours: name the files where it is.")
        lines.append(f"    ssl_certificate /etc/ssl/certs/{_file_name(site)}.pem;")
        lines.append(f"    ssl_certificate_key /etc/ssl/private/{_file_name(site)}.key;")
    if prefix == "/":
        lines.append(f"    root {_quote(folder)};")
    values = {"server": "\n".join(lines), "prefix": prefix, "open": _OPEN}
    for name in ("simple/", "pypi/", "packages/", "flat/"):
        at = "" if prefix == "/" else f"\n        alias {_quote(f'{folder}/{name}')};"
        values[name] = at
    top = {"prefix": prefix, "bare": prefix.removesuffix("/"), "folder": _quote(f"{folder}/")}
    values["top"] = "" if prefix == "/" else _NGINX_TOP % top
    return _NGINX % values


_NGINX_TOP = """\
    location = %(bare)s { return 301 %(prefix)s; }
    location %(prefix)s { alias %(folder)s; }
"""

_NGINX = r"""# /etc/nginx/conf.d/pymirror.conf, or another file that the http block includes.
map $http_accept $pymirror_page {
    # Some clients that read HTML alone ask for */*, so JSON is for those that name it.
    default                                              index.html;
    "~*application/vnd\.pypi\.simple\.(v1|latest)\+json" index.v1_json;
}
server {
%(server)s
    absolute_redirect off;  # also right behind a proxy, on whatever host and port it is
    autoindex off;
    index index.html;
    # Large pages have a packed copy beside them. An nginx that does not know gzip_static: delete its three lines.
    gzip_static on;
    # Pages are asked for again each time; one that did not change is answered by 304.
    add_header Cache-Control no-cache always;
    add_header Vary "Accept, Accept-Encoding" always;
    # No other site may show them in a frame.
    add_header Content-Security-Policy "frame-ancestors 'none'" always;
    add_header X-Content-Type-Options nosniff always;
    types { text/html html; application/vnd.pypi.simple.v1+json v1_json; }
%(top)s    location %(prefix)ssimple/ {%(simple/)s
        index $pymirror_page;
    }
    location %(prefix)spypi/ {%(pypi/)s
        default_type application/json;
    }
    # Files never change, so they are kept for ever; none is unpacked on the way.
    location %(prefix)spackages/ {%(packages/)s
        gzip off;
        gzip_static off;
        types { application/vnd.pypi.integrity.v1+json provenance; } default_type application/octet-stream;
        add_header Cache-Control "public, max-age=31536000, immutable";
    }
    location %(prefix)sflat/ {%(flat/)s
        gzip off;
        gzip_static off;
        types {} default_type application/octet-stream;
    }
    # Nothing else of the folder is open, nor what has a dot before its name, as pymirror's own.
    location ~ /\. { return 404; }
    location ~ ^(?!%(prefix)s(%(open)s)) { return 404; }
}
"""


def make_apache(site: Site | None, folder: str) -> str:
    """A file for Apache's ``sites-available``. Raises :class:`UsageError`."""
    if "${" in folder:
        folder = refuse(folder, "$", syntax="Apache")  # would be a variable, and nothing escapes it
    folder = refuse(folder, "*?[]", syntax="Apache")  # a pattern of folders
    prefix = _prefix(site)
    listen = _listen(site)
    host = [f"    ServerName {site.host}"] if site and site.address is None else []
    if site and _is_tls(site):
        host += [
            "    SSLEngine on",
            "    # The certificate is yours: name the files where it is.",
            f"    SSLCertificateFile /etc/ssl/certs/{_file_name(site)}.pem",
            f"    SSLCertificateKeyFile /etc/ssl/private/{_file_name(site)}.key",
        ]
    if prefix == "/":
        host.append(f"    DocumentRoot {_quote(folder)}")
    else:
        host += [f"    Alias {_quote(prefix)} {_quote(folder + '/')}"]
    pattern = prefix.replace(".", r"\.")
    is_usual = listen in ("80", "443")
    return _APACHE % {
        "modules": "headers rewrite ssl" if site and _is_tls(site) else "headers rewrite",
        "listen": f"# Listen {listen}  (a2enmod and ports.conf do so on Debian)" if is_usual else f"Listen {listen}",
        "address": listen if ":" in listen else f"*:{listen}",
        "host": "\n".join(host),
        "folder": _quote(folder),
        "prefix": prefix,
        "pattern": pattern,
        "open": _OPEN,
        # A string with references in it, from which quotes protect nothing.
        "packed": re.sub(r"[\\%$ ]", r"\\\g<0>", folder) + "/$1.gz",
        "top": "" if prefix == "/" else f"{pattern.removesuffix('/')}$|",
    }


_APACHE = r"""# /etc/apache2/sites-available/pymirror.conf; then: a2ensite pymirror
# Needs the modules dir, mime and alias, which are usually there, and: a2enmod %(modules)s
%(listen)s
<VirtualHost %(address)s>
%(host)s
    <Directory %(folder)s>
        Require all granted
        AllowOverride None
        # No listings, and no MultiViews: it would take index.v1_json for a translation of index.html.
        Options FollowSymLinks
    </Directory>
    DirectoryIndex index.html
    RewriteEngine On
    # Nothing else of the folder is open, nor what has a dot before its name, as pymirror's own.
    RewriteRule "/\." - [R=404,L]
    RewriteRule "^(?!%(top)s%(pattern)s(%(open)s))" - [R=404,L]
    # Some clients that read HTML alone ask for */*, so JSON is for those that name it.
    RewriteCond %%{HTTP:Accept} "application/vnd\.pypi\.simple\.(v1|latest)\+json" [NC]
    RewriteRule "^(%(pattern)ssimple/(?:[a-z0-9-]+/)?)$" "$1index.v1_json"
    # Large pages have a packed copy beside them.
    RewriteCond %%{HTTP:Accept-Encoding} "gzip(?! *; *q=0)" [NC]
    RewriteCond %(packed)s -f
    RewriteRule "^%(pattern)s((?:simple|project|pypi)/.+|(?:index|links)\.html)$" "%(prefix)s$1.gz"
    # Apache itself packs none, whose ETag it would not know again.
    RewriteRule "^" - [PT,E=no-gzip:1,E=no-brotli:1]
    # A redirect that names no host is also right behind a proxy. Older than 2.4.58, Apache names one.
    <IfDirective RedirectRelative>
        RedirectRelative On
        RedirectMatch 301 "^(%(top)s%(pattern)s(?:simple|(?:simple|project)/[a-z0-9-]+))$" "$1/"
    </IfDirective>
    # Pages are asked for again each time; one that did not change is answered by 304. No other site may frame them.
    <LocationMatch "^%(pattern)s(?!packages/)">
        Header always set Cache-Control no-cache
        Header always set Vary "Accept, Accept-Encoding"
        Header always set Content-Security-Policy "frame-ancestors 'none'"
        Header always set X-Content-Type-Options nosniff
    </LocationMatch>
    AddEncoding gzip .gz
    <FilesMatch "\.html(\.gz)?$">
        ForceType text/html
    </FilesMatch>
    <FilesMatch "\.v1_json(\.gz)?$">
        ForceType application/vnd.pypi.simple.v1+json
    </FilesMatch>
    <Location "%(prefix)spypi/">
        ForceType application/json
    </Location>
    # Files never change, so they are kept for ever; none is unpacked on the way.
    <LocationMatch "^%(pattern)s(packages|flat)/">
        ForceType application/octet-stream
        RemoveEncoding .gz .tgz .bz2 .xz .Z
    </LocationMatch>
    <LocationMatch "^%(pattern)spackages/.*\.provenance$">
        ForceType application/vnd.pypi.integrity.v1+json
    </LocationMatch>
    <Location "%(prefix)spackages/">
        Header set Cache-Control "public, max-age=31536000, immutable"
    </Location>
</VirtualHost>
"""


def make_caddy(site: Site | None, folder: str) -> str:
    """A site of a Caddyfile. Raises :class:`UsageError`."""
    folder = refuse(folder, "\\`{}", syntax="Caddy")  # escapes that hold in no quotes, and variables
    bind = f"\tbind {site.address.strip('[]')}\n" if site and site.address else ""
    prefix = _prefix(site)
    tls = _CADDY_TLS % {"name": _file_name(site)} if site and _is_tls(site) else ""
    return _CADDY % {
        "site": site.url.removesuffix(site.path) if site else ":80",
        "bind": bind + tls,
        "folder": _quote(folder),
        "prefix": prefix,
        "top": "" if prefix == "/" else f"\tredir {prefix[:-1]} {prefix} 301\n",
    }


_CADDY_TLS = """\
\t# Caddy gets a certificate by itself where the host is reached from the internet; elsewhere name yours:
\t# tls /etc/ssl/certs/%(name)s.pem /etc/ssl/private/%(name)s.key
"""

_CADDY = r"""# /etc/caddy/Caddyfile, or another file that it imports.
%(site)s {
%(bind)s%(top)s	handle_path %(prefix)s* {
		root * %(folder)s
		# Nothing else of the folder is open, nor what has a dot before its name, as pymirror's own.
		@others not path / /index.html /links.html /simple /simple/* /project/* /pypi/* /packages/* /flat/*
		error @others 404
		@private path_regexp /\.
		error @private 404
		# Pages are asked for again each time; one that did not change is answered by 304. No other site may frame them.
		@pages not path /packages/*
		header @pages {
			Cache-Control no-cache
			Vary "Accept, Accept-Encoding"
			Content-Security-Policy "frame-ancestors 'none'"
			X-Content-Type-Options nosniff
			defer
		}
		header /pypi/* Content-Type application/json
		# Files never change, so they are kept for ever; none is unpacked on the way.
		header /packages/* Cache-Control "public, max-age=31536000, immutable"
		@files path /packages/* /flat/*
		header @files Content-Type application/octet-stream
		@provenance path_regexp ^/packages/.*\.provenance$
		header @provenance Content-Type application/vnd.pypi.integrity.v1+json
		file_server @files
		# Some clients that read HTML alone ask for */*, so JSON is for those that name it.
		@json {
			path_regexp ^/simple/([a-z0-9-]+/)?$
			header_regexp Accept (?i)application/vnd\.pypi\.simple\.(v1|latest)\+json
		}
		rewrite @json {path}index.v1_json
		header @json Content-Type application/vnd.pypi.simple.v1+json
		@v1_json path *.v1_json
		header @v1_json Content-Type application/vnd.pypi.simple.v1+json
		# Large pages have a packed copy beside them.
		file_server {
			precompressed gzip
		}
	}
	handle {
		error 404
	}
	# What is missing today may be there tomorrow.
	handle_errors {
		header Cache-Control no-cache
		header Content-Type "text/plain; charset=utf-8"
		respond "{http.error.status_code} {http.error.status_text}"
	}
}
"""


def _prefix(site: Site | None) -> str:
    if site is None:
        return "/"
    if site.scheme == "file":
        raise UsageError("--url: a server has an http:// or https:// URL", hint="the folder is what --root names")
    if not _PREFIX.fullmatch(site.path):
        raise UsageError(
            f'--url: "{site.path}" cannot be the path of a server',
            hint="letters, digits and - . _ ~, and no part that begins with a dot",
        )
    return site.path


def _is_tls(site: Site | None) -> bool:
    return site is not None and site.scheme == "https"


def _listen(site: Site | None) -> str:
    """``80``, or ``127.0.0.1:80`` where the URL has an address in place of a name."""
    if site is None:
        return "80"
    return f"{site.address}:{site.actual_port}" if site.address else str(site.actual_port)


def _file_name(site: Site | None) -> str:
    return site.host.replace(":", "-") if site else ""


def _quote(text: str) -> str:
    """``text`` as one word, in double quotes where it needs any: all three read ``\\\\`` and ``\\"`` in them."""
    if _PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
