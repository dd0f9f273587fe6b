package schema

import (
	"fmt"
	"io"
	"strings"
)

// sections are the headings of the page, by the first attribute below each.
var sections = []struct{ from, title string }{
	{"version", "File and model"},
	{"services.*.command", "Process"},
	{"services.*.volumes", "Filesystem, configs and secrets of a service"},
	{"volumes.*.name", "Volumes, configs and secrets"},
	{"services.*.networks", "Networking of a service"},
	{"networks.*.name", "Networks"},
	{"services.*.cpus", "Resources"},
	{"services.*.cap_add", "Security"},
	{"services.*.image", "Lifecycle"},
	{"services.*.healthcheck", "Health"},
	{"services.*.logging", "Logging"},
	{"services.*.build", "Build"},
	{"services.*.develop", "Develop"},
	{"services.*.scale", "Deploy"},
}

// differences are where a file means something else here than in docker compose v5, on purpose.
var differences = []string{
	"`mem_limit: 1e9` is 10^9 bytes; docker compose takes a YAML float for 0, no limit.",
	"`deploy.restart_policy` without `condition` is `any`, as the specification says; docker compose restarts nothing then.",
	"A container that other hands kill or delete comes up again, unless `restart: \"no\"` is written, and an unhealthy one is restarted, at most five times in a row; docker leaves both. After a reboot what was up comes up ([why](adr/0040-healing-and-wishes.md)).",
	"A restart that fails because the host has nothing left for it, room on a disk, processes, namespaces or open files, is none of the attempts of `on-failure:N`, and is tried again, less and less often but each minute at least; dockerd gives up a container whose restart fails ([why](adr/0083-what-runs-is-not-ended-for-nothing.md)).",
	"uid, gid and mode of configs and secrets hold for `file` too, and a secret without them is 0444 of root; docker compose ignores them there, and gives what the host's file has ([why](adr/0005-configs-and-secrets.md)).",
	"With `--isolated` (`STACK_ISOLATED=1`) `name`, `container_name`, `name` of networks and volumes that are not external, and `image` of what is built get a hash of the directory at their end; docker compose has nothing like it ([why](adr/0074-the-same-project-twice.md)).",
	"A host port that two services of one file publish is refused before anything is made, not when the second container starts.",
	"Published ports of a service whose default route is by a `macvlan` or `ipvlan` network give a warning: nothing publishes them; docker passes them over in its log. A parent that is not there is refused before anything is made ([why](adr/0060-networks-on-a-parent.md)).",
	"A bridge of the host that `com.docker.network.bridge.name` names is refused before anything is made: a network's bridge goes with it; docker uses one that is there.",
	"A container without a fixed address gets none that another container of its network has in the file, though that one starts later or is stopped; docker gives it away, and the other one cannot start.",
	"`link_local_ips` that two containers of one network have give a warning.",
	"`logging.driver` of `fluentd`, `gelf`, `journald` or `syslog` sends the log and keeps it on this host, for `logs` and while the receiver is away; a receiver that is not there is a warning and not the end of the start, what was not sent is sent when it is back, and no container waits for one ([why, and what is otherwise of options](adr/0093-logs-that-are-sent.md)).",
	"`logging.driver` of `awslogs`, `gcplogs` or `splunk`, or of a plugin of docker's engine such as `loki`, gives a warning: the log is kept on this host, for `logs`, and sent nowhere.",
	"A bind whose `source` is there and empty, by a variable that is not set, is of the project's directory, as docker compose has it, with a warning.",
	"`config --no-path-resolution` writes the source of a bind of an included or extended file as `./sub/dir`; docker compose leaves the `./` away, and reads that as the name of a volume in the short form.",
	"A `driver_opts` of a network, or of a service on it, that the driver does not know gives a warning; docker passes it over.",
	"`network_mode`, `pid` and `ipc` that name a container of the file by its `container_name` are as `service:NAME`: it comes first, and they are restarted with it; docker compose starts them in any order. As there, nothing is restarted with a container of another project.",
	"Who joins another's `pid` is not started while somebody in that namespace has SYS_PTRACE or is privileged, and could take over what starts there; docker starts it.",
	"`A= # text` in an env file sets nothing, as the documentation says: a comment begins behind a blank; docker compose takes it for the value. `A=#text` is a value here and there.",
	"A bind of `/var/run/docker.sock` on a host where no dockerd listens is of the daemon's own socket, which answers the same API; docker would make a directory there. When the daemon is replaced, what has it mounted is to be restarted. `use_api_socket` mounts the same, without credentials of registries, and with a warning that says so.",
	"A bind of a socket (`*.sock`) that is not there is refused before anything is made, in the short form too; docker makes a directory in its place, and nobody can listen there any more.",
	"`network_mode: bridge` joins the project's default network with a warning: there is no bridge that projects share. A service whose `network_mode` is the name of a network has its own name there too, as by `networks`; docker gives it the container's only.",
	"A `configs` or `secrets` entry whose `environment` variable is not set is refused before anything is made, if a service that is to run uses it.",
	"`depends_on` with `required: false` of a service that is not defined is taken; docker compose refuses it, and with it what its own `config` writes where that service is left out by profiles.",
	"`extends` finds a service of an earlier `-f` file too.",
	"The aliases of `links` are names of the linked service for every container on the networks that both share, not for the linking one only.",
	"A service that extends one which is written and empty has no `extends` in `config`; docker compose leaves it there.",
	"Some values that docker compose refuses are taken for what they say: a number for `memory` of `deploy`, a whole number for `cpu_percent`, an empty `host_ip`, a section without a value.",
	"`config` writes a ulimit of 0 as 0; docker compose writes `{}`, which it does not read again.",
	"A file that -f, include or extends fetches from git or a registry may name only files that came with it ([why](adr/0048-remote-files.md)); docker compose reads any file of the host for it. `up` does not ask whether to go on with a remote file's variables: `config` shows them, `plan` what they do.",
	"A value that no engine takes is refused when the file is read: a negative size, weight or count, a fraction where a whole number is meant, a word for a port, a ulimit without numbers. docker compose shows it, and the engine refuses it later.",
	"An empty `name` or `driver` of a network, volume, config or secret, and an empty `network_mode`, are the default, and other empty values (`build: \"\"`, `logging: {}`) are shown as what they mean or not at all; docker compose takes the empty text.",
	"A file whose aliases stand for more than 200,000 values is refused, and a project of more than 400,000 values, where a service counts as ten more and a line of an env file as one, or 5,000 reads of files: so files that include each other again and again, or services with a huge base, are a fault and not the end of the memory.",
	"What `volumes[]` says for another type of mount, such as `bind` in one of type volume, is not shown. Of a mount that a later file replaces an empty `bind` is shown where the first has one; docker compose shows the last's.",
	"An AppArmor profile or a SELinux label in `security_opt` (all but `apparmor=unconfined` and `label=disable`), and a published SCTP port, are refused before anything is made.",
	"A port that is published twice, in modes `ingress` and `host`, is one.",
	"A volume whose name has one letter is a volume; docker compose takes `v:/data` for a path of Windows.",
	"`cpus` beside an empty `deploy.resources.limits` is no conflict.",
	"Unknown options in the short form of volumes give a warning; docker compose ignores them.",
	"A service that sets no `pids_limit` may have 4096 processes and threads; docker sets no bound. `pids_limit: -1` lifts it.",
	"Labels below `com.docker.compose.` of an image or a file are dropped, not only those that the tool sets itself.",
	"A named volume is mounted `nodev`: device nodes in it open nothing. One with a `device` of its own is as that is.",
	"`post_start` runs after every start, those of the restart policy and of healing too, where a failure is a warning; docker knows no hooks when it restarts. start, restart, stop and down run the hooks that the container was made with; docker compose runs none when it is called with `-p` and without the file.",
	"`pre_start` runs before every start that was asked for, by up, start, restart, run, healing, a boot, when no container of the service runs; docker compose runs it by up and start only, and neither does when a restart policy starts a container. `per_replica: true`, which docker compose refuses, runs a step before each start of a container. In a rolling update what is done once is done before the first new container starts ([why](adr/0055-pre-start.md)).",
	"An image that `volumes` mounts is pulled by the service's `pull_policy`; docker compose pulls it when it is not there, whatever the policy. `read_only: false` gives a warning: such a mount is read-only here as there. Device nodes in it open nothing.",
	"A step of `pre_start` without an `image` has the service's user, and each the service's working directory, as the specification says; docker compose takes the image's. It answers to no name of the service and has none of its addresses. The container of one that has failed is removed: its output is in the service's log.",
	"What a `provider` sets is part of its dependents' configuration: another value recreates them. Providers run before any container that does not come before them, one after the other, and `rollback` and `apply` run none ([why](adr/0056-providers.md)). Debug messages are not shown, and other keys of such a service give a warning.",
	"Only the `models` of services that a command is about are fetched and configured; docker compose does all of the file's. `runtime_flags` that an old docker-model cannot take give a warning.",
	"The output of hooks is in the service's log, behind `-> `; docker compose shows it while it is attached only. As there, nothing but a kill bounds a `pre_stop`, and one that fails leaves the container running, with what it depends on (a `restart` goes on with the others); a stop that heals waits `stop_grace_period` for it at most, and goes on.",
	"What is logged outlives a container that is made anew: the log of its replica goes on in a second set of files beside the first (`web-1.log`, `web-1.b.log`, in turn), each with a `max-size` and `max-file` of its own, and `logs` reads both; docker's log goes with the container.",
	"GPUs and other requested devices are found in the files of the Container Device Interface (`/etc/cdi`, `/var/run/cdi`): `driver: nvidia`, `amd`, or none for the one vendor that is there, and `driver: cdi` with full names. A description that wants hooks to be run is refused; docker runs NVIDIA's own program.",
	"`runtime: nvidia` asks for the GPUs that `NVIDIA_VISIBLE_DEVICES` in the service's `environment` names, for all where it is not there, unless `gpus` or `deploy` asks for some; NVIDIA's runtime goes by that variable of the image too.",
	"A build has no variables of proxies from docker's own configuration, and `host-gateway` in its `extra_hosts` is refused unless its network is the host's. `platforms` names the platform that the service runs on, or this host's: it is built for that one.",
	"`build.ssh` is agents: `default`, that of the command's `SSH_AUTH_SOCK`, or `ID=SOCKET`; a file with a key is refused, ssh-add loads it into an agent. As with docker a command can have keys used, and cannot add or remove any.",
	"`build.cache_from` and `cache_to` are images (or `type=registry,ref=IMAGE`), directories (`type=local`, from the project's directory) and, for `cache_to`, `type=inline`. `type=gha`, `s3` and `azblob` give a warning and have no effect, as have options of compression: layers are gzip, and those of `cache_to` in `cache_from`. A cache has a form of its own: one of BuildKit's is told and not used, nor does BuildKit use one of stack's. A directory does not grow: what is not needed any more is removed ([why](adr/0096-build-caches-elsewhere.md)).",
	"`volumes_from` is looked up at each start of a container, among the containers that there are then; docker does it once, when the container is made.",
	"A volume of `type: tmpfs` is mounted by the container that has it: two containers of a project that name one are refused, and containers of other projects see one of their own. The same is true of types 9p and overlay.",
	"A volume that is a file system of a device or a server (`type: ext4`, `nfs`, `cifs`) is mounted in its containers and not on the host; `nodev` is added unless `o` has `dev`; and the server may stand in `device` alone ([why](adr/0058-volumes-of-filesystems.md)).",
	"The default seccomp profile denies `socketcall`, by which 32-bit programs open sockets; a service that runs such programs says `security_opt: [\"seccomp=builtin\"]` ([why](adr/0030-socketcall.md)).",
}

// commandDifferences are where a command does something else here than docker compose v5, on purpose.
var commandDifferences = []string{
	"A service that the file does not have is an error for every command; docker compose's top, events and images say nothing and end with 0. `start` of a service without a container ends with 1; docker compose's does that only where the project has none at all. A `pause` or `unpause` of all passes over what is so already.",
	"`run` ends with 125, 126 or 127 when its program cannot be started, as `docker run` does, and leaves no container behind; docker compose ends with 1. `exec` does so too where docker compose ends with 1 or guesses.",
	"`run -d` prints the container's name, not its id. `run -v NAME:PATH` takes a volume that is there; docker makes one, which no command of docker compose removes.",
	"up, plan and run warn where the project was brought up from another directory before that still has its file: two checkouts of one name share their containers, unless they are isolated; docker compose says nothing. `ls --format json` has the `Directory` of each.",
	"One-off containers of `run` are no orphans: up does not warn of them.",
	"`up --wait` takes a task that has ended with 0 for well; docker compose ends with 1.",
	"A second `up` does not run a task again that has completed and that others wait for, unless one of those starts or the task is named; docker compose runs it at each `up`.",
	"`up` makes a container anew when the content of its configs and secrets has changed; docker compose looks at the names of the files only. A container in the network namespace of one that is made anew is restarted, not made anew.",
	"An attached `up` shows nothing of a service with `logging: {driver: none}`.",
	"`exec --privileged` lifts the seccomp filter too; docker gives capabilities only.",
	"`logs --json` prints an object a line, with the container, the service, the time, the stream and the line; docker compose has nothing like it.",
	"`logs --grep` and `--level` choose lines by a regular expression (Go's, RE2) and by how bad it is what they tell of; a line that came in parts is matched whole, when it has ended or is 1 MiB long, and `--tail` counts the lines that are chosen.",
	"`logs --follow` of services that have all ended ends; docker compose waits.",
	"`wait` for a service that has ended gives its exit code; docker compose finds no container.",
	"`down SERVICE` removes the containers of that service only; docker compose takes those of the services that depend on it too. A `down` of all removes running one-offs of `run -d` too; docker compose leaves them.",
	"`volumes` has `snapshot`, `snapshots`, `restore`, `clone`, `removed` and `undelete` ([why](adr/0075-going-back-to-what-was-in-volumes.md)); docker compose has nothing like them, and lists the volumes of services of these names: write `volumes -- snapshot`. `down --volumes` leaves snapshots.",
	"`down --volumes` removes all anonymous volumes of the project, those of containers that are gone too.",
	"`config --no-interpolate` shows the files joined, each value as it is written, and goes with `--services`, `--format`, `--output` and `--quiet` only; docker compose canonicalises what it can (`env_file`, `secrets`, names), and fails on a port with a variable where it is to print names.",
	"`--compatibility`, `--dry-run` of verbs that have none of their own, `--verbose`, `--insecure-registry` and `pull --no-parallel` are refused by name.",
	"`build --print`, `--check`, `--builder`, `--memory`, `--sbom` and `--provenance` are refused by name; `--compress`, `--force-rm`, `--no-rm` and `--parallel`, of which docker compose says nothing, are told to have no effect.",
	"An image that several services have is built once, as the first of them by name says; docker compose builds it once for each, and the last one keeps the name. Where they differ that is told.",
	"Images are built for the platform that they run on: `build.platforms` must have it, and `build` tells that the others are not built.",
	"A build of an `up` comes before all that the up changes. The sources of a build that are in a git repository are fetched when there is something to build, by the command and not by the daemon.",
	"`config --lock-image-digests` writes nothing but images; docker compose writes empty commands and entrypoints beside them. Neither digest flag goes with `--no-interpolate`.",
	"`config --resolve-image-digests` tells every image that cannot be found, with its place in the file.",
	"`config --variables` lists the variables of a top-level `name` too.",
	"`config --hash` is refused for a service that cannot be run here: it is the hash of what would be made, and no container has docker compose's.",
	"`config --no-normalize` shows the project's name normalised too.",
	"`config --no-consistency` shows deploy's value for both where `cpus`, `mem_limit`, `mem_reservation`, `pids_limit` or `scale` disagree with it; docker compose shows both as they are.",
	"`volumes SERVICE` lists those of stopped containers too, and `images --format json` is in the order of the containers' names; docker compose looks at running ones only, and has no order.",
	"`attach` ends with 0 when it is left by its keys; docker compose ends with 1. Keys are given by `--detach-keys` only, not by docker's own configuration, and `--sig-proxy` sends SIGINT and SIGTERM on.",
	"`up` leaves a paused container paused and says so, unless the file has changed it; docker compose tries to start it, and fails. `up --wait`, and a service that waits for its health, end with an error instead. `stop`, `restart` and `down` let it go on, for its `pre_stop` hooks too ([why](adr/0066-paused-containers.md)).",
	"`stats` takes several services, draws in place on a terminal only, and asks once a second. BLOCK I/O of a container without limits for devices is what its processes count themselves (docker: the controller, which on cgroup v1 knows nothing of buffered writes): execs that have ended are not in it.",
	"`ps --format json` has the whole command, also without `--no-trunc`.",
	"`cp` works on volumes of stopped containers, and on what is mounted in running ones, tmpfs too; on what a container has only while it runs it is refused by name when it has stopped. Nothing on /proc, /sys and their like is copied, and no device, in either direction ([why](adr/0064-copying.md)).",
	"`cp` into a container makes what it copies root's, as docker's reference says, and leaves out set-id bits and file capabilities, unless `--archive` says otherwise, which keeps owners; docker 28 keeps the owners' numbers and the bits here either way. Directories that are there keep their owner, mode and time without `--archive`.",
	"`cp` from a container follows no link that lies below the destination: one that an earlier copy has left there leads nowhere.",
	"`cp` and `export` say what they leave out: sockets, devices of what is copied out, and a file that became shorter while it was read.",
	"`watch` goes by what files have in them: a touch, a changed mode, a file saved as it was starts nothing; docker compose goes by events. `initial_sync` copies what differs, also from an older file, and its rule's restart or command follows; what was copied is copied into each container that is made anew later ([why](adr/0065-watch.md)).",
	"When a directory that is copied goes, the files go that were copied from it, and it, if nothing else is in it; docker compose removes it with all that the container has there. A file that is copied belongs to whom the one in its place belongs, or the directory; docker compose gives all to root.",
	"`watch` ignores `.git` at every depth (docker compose ignores `/.git`), and a `.dockerignore` with `*` and exceptions means what it means for builds (docker compose passes over its other lines then).",
	"A rebuild of `watch` makes containers anew if the image is another one; docker compose does it always.",
}

// WriteCompat writes docs/compat.md.
func WriteCompat(w io.Writer) error {
	var b strings.Builder
	var count [3]int
	for i := range Attributes {
		if a := &Attributes[i]; !a.Extension() {
			count[a.Level]++
		}
	}
	fmt.Fprintf(&b, `# Compose compatibility

<!-- Generated from schema/support.go by "make generate"; do not edit. -->

The Compose language has %d attributes, and every one is read, checked and shown by `+"`config`"+`: %d are
supported, %d are accepted with a warning and without effect, %d are refused by name and line where
containers are made (up, create, run), when a service that is to run has them. ps, logs, stop, down and
exec work with such a file. A key that the language does not have is an error. Nothing is ignored
without a word.

The page and the program are held against docker compose v5 itself, by what both write for `+"`config --format json`"+`:

- 4,369 public files of some 120 projects: 2,647 give equal JSON as they are. The others need variables and files that they do not bring along, and both refuse them. With those, and
  `+"`--no-consistency`"+`, 1,269 are equal and both refuse 483; four differ as below, two in how an IPv6 address is spelt and one in a port that is written twice; one was refused here (a Windows
  path) and three there.
- 5,338 projects and combinations of their files from 243 repositories, in their own directories: 3,319 are equal, both refuse 2,006, nine differ as below, four are refused there.
- 6,782 files, combinations and runs with `+"`--no-consistency`"+` from 180 repositories, with what they need of env files and variables: 4,933 are equal, both refuse 1,834, 13 differ as below, two
  are refused there.
- 617 texts and files in the tests of its loader: 386 are equal, both refuse 225.
- 6,354 files with one value of every kind at every attribute: 6,246 agree. The others are what the list below says of values that no engine takes, empty values and mounts of another type.

And by what becomes of the files:

- `+"`plan`"+`, which has the refusals of up, refuses 58 of 3,674 public projects that both read, for what docker's engine can take: another runtime (35), a socket that is not there (19), an AppArmor
  profile (3), an SCTP port (1).
- 457 public projects from 159 repositories were brought up, with one program in the place of all their images: 370 came up whole, had nothing left to plan and no drift, were stopped, started and taken
  down, and left nothing. Of the 87 others 56 lack something that they need, a variable, a file, a socket, a device, a capability or a plugin, 11 meet a limit that this page names, 4 have no active
  service, and for 16 the program in place of the image was not enough.

## Differences from docker compose v5

`, count[Supported]+count[Warned]+count[Refused], count[Supported], count[Warned], count[Refused])
	for _, d := range differences {
		fmt.Fprintf(&b, "- %s\n", d)
	}
	b.WriteString("\n## Differences of the commands\n\n")
	for _, d := range commandDifferences {
		fmt.Fprintf(&b, "- %s\n", d)
	}
	next := 0
	for i := range Attributes {
		a := &Attributes[i]
		if next < len(sections) && sections[next].from == a.Path {
			fmt.Fprintf(&b, "\n## %s\n\n| Attribute | Status | Why |\n|---|---|---|\n", sections[next].title)
			next++
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.TrimPrefix(a.Path, "services.*."), a.Level, a.Reason)
	}
	if next != len(sections) {
		return fmt.Errorf("cannot place the section %q: no attribute %s follows", sections[next].title, sections[next].from)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
