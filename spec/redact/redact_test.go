package redact_test

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/spec/redact"
)

func TestLine(t *testing.T) {
	for line, want := range map[string]string{
		"  image: nginx:1":                           "  image: nginx:1",
		"  DB_PASSWORD: hunter2":                     "  DB_PASSWORD: (hidden)",
		`  - "API_TOKEN=abc def"`:                    `  - "API_TOKEN=(hidden)`,
		"export AWS_SECRET_KEY = x":                  "export AWS_SECRET_KEY = (hidden)",
		"  secrets: [db]":                            "  secrets: [db]",
		"  DB_PASSWORD: [hunter2]":                   "  DB_PASSWORD: (hidden)",
		"  secrets: db":                              "  secrets: db",
		"  POSTGRES_PASSWORD_FILE: {a: b}":           "  POSTGRES_PASSWORD_FILE: {a: b}",
		"  POSTGRES_HOST_AUTH_METHOD: trust":         "  POSTGRES_HOST_AUTH_METHOD: trust",
		"- AUTH_METHOD=md5 PASSWORD=x":               "- AUTH_METHOD=md5 PASSWORD=(hidden)",
		"  auth:":                                    "  auth:",
		"  url: postgres://u:p@db/x?a=1":             "  url: postgres://u:(hidden)@db/x?a=1",
		"  url: http://host:80/p":                    "  url: http://host:80/p",
		strings.Repeat("MIIEvQIBADANBg+/", 4):        "(hidden)",
		"image: x@sha256:" + strings.Repeat("a", 64): "image: x@sha256:" + strings.Repeat("a", 64),
	} {
		got, same := redact.Line(line)
		if got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
		if got[:min(same, len(got))] != line[:min(same, len(line))] {
			t.Errorf("%q: %q differs before %d", line, got, same)
		}
	}
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"nginx:1":                           "nginx:1",
		"redis-server --requirepass=s3cret": "redis-server --requirepass=(hidden)",
		"--user=me":                         "--user=me",
		"--default-authentication-plugin=mysql_native_password": "--default-authentication-plugin=mysql_native_password",
		"auth-type=md5,auth=x":     "auth-type=md5,auth=(hidden)",
		"Authorization: Basic abc": "Authorization: Basic abc",
		"username=me,password=x":   "username=me,password=(hidden)",
		"postgres://u:p@db/x":      "postgres://u:(hidden)@db/x",
		"a: 1\npassword: x\n":      "a: 1\npassword: (hidden)\n",
	} {
		if got := redact.Text(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	for key, want := range map[string]bool{"traefik.http.routers.auth.rule": false, "traefik.http.middlewares.a.basicauth.users": true, "app.token": true, "DB_PASSWORD": true} {
		if redact.Label(key) != want {
			t.Errorf("%s: %t", key, !want)
		}
	}
}

func TestNamesAndValues(t *testing.T) {
	for name, want := range map[string]bool{"DB_PASSWORD": true, "api_token": true, "AUTH": true, "PWD": false, "OLDPWD": false, "HOME": false, "MYSQL_PWD": true, "DB_PASSWORD_FILE": false, "SSH_AUTH_SOCK": false,
		"POSTGRES_HOST_AUTH_METHOD": false, "MYSQL_ALLOW_EMPTY_PASSWORD": false, "MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": false, "MYSQL_RANDOM_ROOT_PASSWORD": false, "AUTH_METHOD_PASSWORD": true, "EMPTY_PASSWORD": true} {
		if redact.Name(name) != want {
			t.Errorf("%s: %t", name, !want)
		}
	}
	if redact.Value("http://host:80/a@b") || !redact.Value("amqp://a:b@c") {
		t.Error("URLs are not told apart by their password")
	}
}
