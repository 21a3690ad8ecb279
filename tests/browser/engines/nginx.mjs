// A real nginx before the programs: TLS, HTTP/2, and a log of requests and responses.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { folder, onFreePort, start, until } from './processes.mjs';

const FIELDS = {
  host: '$host', method: '$request_method', path: '$uri', protocol: '$server_protocol', site: '$http_sec_fetch_site', user: '$http_sec_fetch_user',
  cookies: '$http_cookie', status: '$status', refresh: '$sent_http_refresh',
};

const configuration = (port, programs) => `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr warn;
events {}
http {
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(name => `${name}_temp_path ${folder}/nginx-${name};`).join(' ')}
  log_format fields escape=json '${JSON.stringify(FIELDS)}';
  access_log ${folder}/access.log fields;
  ssl_certificate ${folder}/certificate.pem;
  ssl_certificate_key ${folder}/key.pem;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  ${programs.map(({ names, origin }) => `
  server {
    listen 127.0.0.1:${port} ssl http2;
    server_name ${names};
    location / {
      proxy_pass ${origin};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
  }`).join('')}
  # Another site, which links to what its address names.
  server {
    listen 127.0.0.1:${port} ssl http2;
    server_name 127.0.0.1;
    default_type text/html;
    location /link { return 200 '<!doctype html><a href="$arg_to">Go</a>'; }
    location /form { return 200 '<!doctype html><form method="post" action="$arg_to"><button>Go</button></form>'; }
  }
}`;

// `programs` are origins, with the names of the hosts that lead to them. Returns the port.
export async function nginx(programs) {
  await promisify(execFile)('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=Portcullis tests',
    '-addext', 'subjectAltName=DNS:localhost,DNS:*.localhost,IP:127.0.0.1', '-keyout', `${folder}/key.pem`, '-out', `${folder}/certificate.pem`,
  ]);
  const file = join(folder, 'nginx.conf');
  return onFreePort(async port => {
    await writeFile(file, configuration(port, programs));
    return start(process.env.NGINX ?? 'nginx', ['-p', folder, '-e', 'stderr', '-c', file]);
  }, '/'); // a 400, since it is not TLS
}

// The first `count` requests for a path of a host, or as many as there are then. Each is logged
// once its answer is sent, so a page may be shown before its line is written.
export async function requests(host, path, count) {
  return until(async () => {
    const lines = (await readFile(join(folder, 'access.log'), 'utf8')).split('\n').slice(0, -1);
    const found = lines.map(line => JSON.parse(line)).filter(request => request.host === host && request.path === path);
    return found.length >= count && found;
  }, `${count} requests for ${path}`);
}
