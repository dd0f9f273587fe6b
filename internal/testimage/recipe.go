package testimage

import (
	"embed"
	"io/fs"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

//go:embed files
var files embed.FS

// Recipe is one image.
type Recipe struct {
	Refs     []string // repository:tag, as the mirror of docker.io knows them
	Packages []string // Debian packages; what they depend on comes too
	Omit     []string // packages that are not wanted although something depends on them
	OmitPath []string // path prefixes, without leading slash
	NoBase   bool     // without the base layer
	Users    []User   // besides root, nobody and the like
	Dirs     []Dir
	Files    []File
	Links    map[string]string // path → target
	Config   v1.Config
}

// User gets a line in /etc/passwd and, when GID is not another user's, in /etc/group.
type User struct {
	Name        string
	UID, GID    int
	Home, Shell string
}

type Dir struct {
	Path     string
	Mode     int64
	UID, GID int
}

// File is copied from package files.
type File struct {
	Path string
	From string
	Mode int64
}

// What dpkg needs to configure packages and what the daemons do not need to run.
var packaging = []string{
	"adduser", "debconf", "debianutils", "dpkg", "init-system-helpers", "lsb-base", "sysvinit-utils", "usrmerge", "ucf",
	"libfile-find-rule-perl", "libnumber-compare-perl", "libtext-glob-perl", "libjson-perl",
	"perl", "perl-base", "perl-modules-5.36", "libperl5.36", "libgdbm6", "libgdbm-compat4", "libdb5.3",
	"libsemanage2", "libsemanage-common", "libsepol2", "passwd", "libpam-modules", "libpam-modules-bin",
	"sensible-utils", "tar", "gcc-12-base", "libaudit-common",
}

// base is the first layer of every image that does not say NoBase: a small Debian 12.
var base = Recipe{
	Refs: []string{"library/debian:12", "library/debian:bookworm-slim"},
	Packages: []string{
		"base-files", "bash", "coreutils", "dash", "findutils", "grep", "gzip", "hostname", "libc-bin", "mawk", "ncurses-base",
		"procps", "sed", "util-linux", "netbase", "ca-certificates",
	},
	Omit:  append([]string{"util-linux-extra", "openssl", "libgpm2"}, packaging...),
	Links: map[string]string{"usr/bin/sh": "dash", "usr/bin/awk": "mawk", "var/run": "/run", "var/lock": "/run/lock"},
	Dirs: []Dir{
		{Path: "dev", Mode: 0o755}, {Path: "proc", Mode: 0o555}, {Path: "sys", Mode: 0o555}, {Path: "root", Mode: 0o700},
		{Path: "home", Mode: 0o755}, {Path: "mnt", Mode: 0o755}, {Path: "opt", Mode: 0o755}, {Path: "srv", Mode: 0o755},
		{Path: "run", Mode: 0o755}, {Path: "run/lock", Mode: 0o1777}, {Path: "tmp", Mode: 0o1777}, {Path: "var/tmp", Mode: 0o1777},
	},
	Config: v1.Config{Cmd: []string{"bash"}, Env: []string{"PATH=" + sysPath}},
}

const sysPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// recipes follow the public images in users, environment, entrypoint, volumes, ports and stop signal: what a
// Compose file written for those can see.
var recipes = []Recipe{
	{
		Refs:     []string{"library/postgres:15"},
		Packages: []string{"postgresql-15"},
		// JIT is optional (the server looks whether llvmjit.so is there) and larger than all of the rest.
		Omit: append([]string{
			"libllvm14", "libz3-4", "libedit2", "libbsd0", "locales", "libc-l10n", "openssl", "ssl-cert",
			"postgresql-common", "postgresql-client-common",
		}, packaging...),
		OmitPath: []string{"usr/lib/postgresql/15/lib/bitcode", "usr/lib/postgresql/15/lib/llvmjit"},
		Users:    []User{{"postgres", 999, 999, "/var/lib/postgresql", "/bin/bash"}},
		Dirs: []Dir{
			{"docker-entrypoint-initdb.d", 0o755, 0, 0},
			{"var/lib/postgresql", 0o755, 999, 999},
			{"var/lib/postgresql/data", 0o1777, 999, 999},
			{"run/postgresql", 0o3777, 999, 999},
		},
		Files: []File{{"usr/local/bin/docker-entrypoint.sh", "postgres/docker-entrypoint.sh", 0o755}},
		Config: v1.Config{
			Entrypoint: []string{"docker-entrypoint.sh"},
			Cmd:        []string{"postgres"},
			Env: []string{
				"PATH=" + sysPath + ":/usr/lib/postgresql/15/bin", "LANG=C.UTF-8",
				"PG_MAJOR=15", "PGDATA=/var/lib/postgresql/data",
			},
			ExposedPorts: map[string]struct{}{"5432/tcp": {}},
			Volumes:      map[string]struct{}{"/var/lib/postgresql/data": {}},
			StopSignal:   "SIGINT",
		},
	},
	{
		Refs:     []string{"library/redis:7"},
		Packages: []string{"redis-server"},
		Omit:     packaging,
		Users:    []User{{"redis", 999, 1000, "/home/redis", "/bin/sh"}},
		Dirs:     []Dir{{"data", 0o755, 999, 1000}},
		Files:    []File{{"usr/local/bin/docker-entrypoint.sh", "redis/docker-entrypoint.sh", 0o755}},
		Config: v1.Config{
			Entrypoint:   []string{"docker-entrypoint.sh"},
			Cmd:          []string{"redis-server"},
			Env:          []string{"PATH=" + sysPath},
			WorkingDir:   "/data",
			ExposedPorts: map[string]struct{}{"6379/tcp": {}},
			Volumes:      map[string]struct{}{"/data": {}},
		},
	},
	{
		Refs:     []string{"library/python:3.11"},
		Packages: []string{"python3"},
		Omit:     packaging,
		Links:    map[string]string{"usr/local/bin/python": "/usr/bin/python3", "usr/local/bin/python3": "/usr/bin/python3"},
		Config: v1.Config{
			Cmd: []string{"python3"},
			Env: []string{"PATH=" + sysPath, "LANG=C.UTF-8"},
		},
	},
	{
		Refs:     []string{"library/nginx:1.22"},
		Packages: []string{"nginx"},
		Omit:     append([]string{"iproute2", "libbpf1", "libelf1", "libmnl0", "libxtables12", "libcap2-bin", "libbsd0"}, packaging...),
		OmitPath: []string{"etc/nginx/nginx.conf", "etc/nginx/sites-available", "etc/nginx/sites-enabled", "etc/nginx/conf.d"},
		Users:    []User{{"nginx", 101, 101, "/nonexistent", "/bin/false"}},
		Dirs: []Dir{
			{"docker-entrypoint.d", 0o755, 0, 0},
			{"var/cache/nginx", 0o755, 101, 101},
			{"var/lib/nginx", 0o755, 101, 101}, // where Debian's build keeps temporary files
			{"var/log/nginx", 0o755, 0, 0},
		},
		Files: []File{
			{"docker-entrypoint.sh", "nginx/docker-entrypoint.sh", 0o755},
			{"etc/nginx/nginx.conf", "nginx/nginx.conf", 0o644},
			{"etc/nginx/conf.d/default.conf", "nginx/default.conf", 0o644},
		},
		Links: map[string]string{"var/log/nginx/access.log": "/dev/stdout", "var/log/nginx/error.log": "/dev/stderr"},
		Config: v1.Config{
			Entrypoint:   []string{"/docker-entrypoint.sh"},
			Cmd:          []string{"nginx", "-g", "daemon off;"},
			Env:          []string{"PATH=" + sysPath, "NGINX_VERSION=1.22.1"},
			ExposedPorts: map[string]struct{}{"80/tcp": {}},
			StopSignal:   "SIGQUIT",
		},
	},
	{
		Refs:     []string{"library/busybox:latest", "library/busybox:1.35"},
		Packages: []string{"busybox-static"},
		NoBase:   true,
		Dirs: []Dir{
			{"dev", 0o755, 0, 0}, {"proc", 0o555, 0, 0}, {"sys", 0o555, 0, 0}, {"tmp", 0o1777, 0, 0}, {"root", 0o700, 0, 0},
			{"home", 0o755, 65534, 65534}, {"var/www", 0o755, 0, 0}, {"var/spool/mail", 0o755, 0, 0}, {"run", 0o755, 0, 0},
		},
		Links:  map[string]string{"var/run": "/run"},
		Config: v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=" + sysPath}},
	},
}

func (r Recipe) wants(name string) bool { return !slices.Contains(r.Omit, name) }

func (f File) content() ([]byte, error) { return fs.ReadFile(files, "files/"+f.From) }
