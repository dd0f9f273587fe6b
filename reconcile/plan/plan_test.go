package plan

import (
	"strings"
	"testing"
)

func want(services ...*Service) *Desired {
	d := &Desired{Project: "shop", Networks: map[string]Network{"shop_default": {Name: "shop_default", Key: "default"}}, Services: map[string]*Service{}}
	for _, s := range services {
		d.Services[s.Name] = s
	}
	return d
}

func svc(name string, deps map[string]Dependency) *Service {
	return &Service{Name: name, Replicas: 1, Spec: Spec{Image: "app:1", Networks: map[string]Endpoint{"shop_default": {}}}, DependsOn: deps}
}

// made is the host as it is when d was brought up.
func made(d *Desired) *Observed {
	h := &Observed{Images: map[string]string{"app:1": "sha256:aaaaaaaaaaaaaaaa"}, Networks: map[string]NetworkState{}, Volumes: map[string]VolumeState{}}
	for name, n := range d.Networks {
		h.Networks[name] = NetworkState{Name: name, Project: d.Project, Encoded: Encode(n.Spec)}
	}
	for name, s := range d.Services {
		for n := 1; n <= s.Replicas; n++ {
			h.Containers = append(h.Containers, ContainerState{ID: name + "-id", Service: name, Replica: n, Name: s.NameOf(d.Project, n), Encoded: Encode(s.Spec), Image: "sha256:aaaaaaaaaaaaaaaa", Status: StatusRunning, Healthy: true, Networks: []string{"shop_default"}})
		}
	}
	return h
}

func dep(name string, c Condition, restart bool) map[string]Dependency {
	return map[string]Dependency{name: {Condition: c, Restart: restart, Required: true}}
}

// built is db, which web, built on what base builds, depends on; base runs nowhere.
func built() *Desired {
	d := want(svc("base", nil), svc("db", nil), svc("web", dep("db", Started, false)))
	d.Services["base"].Replicas, d.Services["base"].Spec.Image, d.Services["base"].Build = 0, "shop-base", &Recipe{}
	d.Services["web"].Spec.Image, d.Services["web"].Build = "shop-web", &Recipe{From: []string{"base"}}
	return d
}

func TestGoldens(t *testing.T) {
	pair := func() *Desired { return want(svc("db", nil), svc("web", dep("db", Healthy, true))) }
	for _, tt := range []struct {
		name string
		plan func() (*Desired, *Observed, Options)
		text string
	}{
		{"from nothing", func() (*Desired, *Observed, Options) {
			return pair(), &Observed{Images: map[string]string{"app:1": "sha256:a"}}, Options{}
		}, `
create network shop_default
    it does not exist
create container shop-db-1
    it does not exist
create container shop-web-1
    it does not exist
--
#1 create network shop_default  (network:shop_default: it does not exist)
#2 [#1] create container shop-db-1  (container:db/1: it does not exist)
#3 [#1 #2] start container shop-db-1  (container:db/1: it does not exist)
#4 [#1] create container shop-web-1  (container:web/1: it does not exist)
#5 [#3] wait for db to be healthy  (container:db/1: web depends on it)
#6 [#1 #4 #5] start container shop-web-1  (container:web/1: it does not exist)
`},
		{"all resources of a file without services", func() (*Desired, *Observed, Options) {
			d := want()
			d.Unused, d.Volumes = true, map[string]Volume{"shop_data": {Name: "shop_data", Key: "data"}}
			return d, &Observed{}, Options{}
		}, `
create network shop_default
    it does not exist
create volume shop_data
    it does not exist
--
#1 create network shop_default  (network:shop_default: it does not exist)
#2 create volume shop_data  (volume:shop_data: it does not exist)
`},
		{"what nothing uses is not healed", func() (*Desired, *Observed, Options) {
			d := want()
			d.Unused = true
			return d, &Observed{}, Options{Heal: true}
		}, ""},
		{"nothing to do", func() (*Desired, *Observed, Options) { return pair(), made(pair()), Options{} }, ""},
		{"an image to build, and one that it is built on", func() (*Desired, *Observed, Options) {
			d := built()
			return d, &Observed{Images: map[string]string{"app:1": "sha256:a"}}, Options{}
		}, `
build image shop-base
    it is not on this host
build image shop-web
    it is not on this host
create network shop_default
    it does not exist
create container shop-db-1
    it does not exist
create container shop-web-1
    it does not exist
--
#1 build image shop-base  (image:shop-base: it is not on this host)
#2 [#1] build image shop-web  (image:shop-web: it is not on this host)
#3 [#1 #2] create network shop_default  (network:shop_default: it does not exist)
#4 [#3] create container shop-db-1  (container:db/1: it does not exist)
#5 [#3 #4] start container shop-db-1  (container:db/1: it does not exist)
#6 [#2 #3] create container shop-web-1  (container:web/1: it does not exist)
#7 [#3 #5 #6] start container shop-web-1  (container:web/1: it does not exist)
`},
		{"a build that is asked for again", func() (*Desired, *Observed, Options) {
			d := built()
			delete(d.Services, "base")
			d.Services["web"].Build.From = nil
			d.Services["web"].Build.Named = true
			d.Services["web"].Build.Again = "asked for by --build"
			return d, &Observed{Images: map[string]string{"app:1": "sha256:a", "shop-web": "sha256:b"}}, Options{Rebuild: map[string]string{"shop-web": "asked for by --build"}}
		}, `
build image shop-web
    asked for by --build
create network shop_default
    it does not exist
create container shop-db-1
    it does not exist
create container shop-web-1
    it does not exist
--
#1 build image shop-web  (image:shop-web: asked for by --build)
#2 [#1] create network shop_default  (network:shop_default: it does not exist)
#3 [#2] create container shop-db-1  (container:db/1: it does not exist)
#4 [#2 #3] start container shop-db-1  (container:db/1: it does not exist)
#5 [#1 #2] create container shop-web-1  (container:web/1: it does not exist)
#6 [#2 #4 #5] start container shop-web-1  (container:web/1: it does not exist)
`},
		{"an image with a name that a registry may have", func() (*Desired, *Observed, Options) {
			d := want(svc("web", nil), svc("worker", nil))
			d.Services["web"].Build = &Recipe{Named: true}
			return d, &Observed{}, Options{}
		}, `
build image app:1
    it is not on this host; the registry is asked first
create network shop_default
    it does not exist
create container shop-web-1
    it does not exist
create container shop-worker-1
    it does not exist
--
#1 build image app:1  (image:app:1: it is not on this host; the registry is asked first)
#2 [#1] create network shop_default  (network:shop_default: it does not exist)
#3 [#1 #2] create container shop-web-1  (container:web/1: it does not exist)
#4 [#2 #3] start container shop-web-1  (container:web/1: it does not exist)
#5 [#1 #2] create container shop-worker-1  (container:worker/1: it does not exist)
#6 [#2 #5] start container shop-worker-1  (container:worker/1: it does not exist)
`},
		{"what was built is another image", func() (*Desired, *Observed, Options) {
			d := want(svc("web", nil))
			d.Services["web"].Build = &Recipe{}
			h := made(d)
			h.Images["app:1"] = "sha256:fedcba0987654321"
			return d, h, Options{}
		}, `
recreate container shop-web-1
    image id of app:1: aaaaaaaaaaaa -> fedcba098765
--
#1 create container shop-web-1  (container:web/1: image id of app:1: aaaaaaaaaaaa -> fedcba098765)
#2 [#1] stop container shop-web-1  (container:web/1: image id of app:1: aaaaaaaaaaaa -> fedcba098765)
#3 [#2] delete container shop-web-1  (container:web/1: image id of app:1: aaaaaaaaaaaa -> fedcba098765)
#4 [#1 #2 #3] start container shop-web-1  (container:web/1: image id of app:1: aaaaaaaaaaaa -> fedcba098765)
`},
		{"nothing may be built, and what it would make is here", func() (*Desired, *Observed, Options) {
			d := want(svc("web", nil))
			d.Services["web"].Build = &Recipe{}
			return d, made(d), Options{NoBuild: true}
		}, ""},
		{"an image that is mounted and not here", func() (*Desired, *Observed, Options) {
			d := want(svc("web", nil))
			d.Services["web"].Spec.Mounts = []Mount{{Type: "image", Source: "data:1", Target: "/data"}}
			return d, &Observed{Images: map[string]string{"app:1": "sha256:a"}}, Options{}
		}, `
pull image data:1
    it is not on this host
create network shop_default
    it does not exist
create container shop-web-1
    it does not exist
--
#1 pull image data:1  (image:data:1: it is not on this host)
#2 create network shop_default  (network:shop_default: it does not exist)
#3 [#1 #2] create container shop-web-1  (container:web/1: it does not exist)
#4 [#1 #2 #3] start container shop-web-1  (container:web/1: it does not exist)
`},
		{"an image that is mounted is another by now", func() (*Desired, *Observed, Options) {
			d := want(svc("web", nil))
			d.Services["web"].Spec.Mounts = []Mount{{Type: "image", Source: "data:1", Target: "/data"}}
			h := made(d)
			h.Containers[0].Mounted = map[string]string{"data:1": "sha256:1234567890abcdef"}
			h.Images["data:1"] = "sha256:fedcba0987654321"
			return d, h, Options{}
		}, `
recreate container shop-web-1
    image id of data:1: 1234567890ab -> fedcba098765
--
#1 create container shop-web-1  (container:web/1: image id of data:1: 1234567890ab -> fedcba098765)
#2 [#1] stop container shop-web-1  (container:web/1: image id of data:1: 1234567890ab -> fedcba098765)
#3 [#2] delete container shop-web-1  (container:web/1: image id of data:1: 1234567890ab -> fedcba098765)
#4 [#1 #2 #3] start container shop-web-1  (container:web/1: image id of data:1: 1234567890ab -> fedcba098765)
`},
		{"a field, and a dependent with restart", func() (*Desired, *Observed, Options) {
			d := pair()
			d.Services["db"].Spec.Environment = map[string]string{"LEVEL": "debug"}
			return d, made(pair()), Options{}
		}, `
recreate container shop-db-1
    environment.LEVEL: (none) -> "debug"
restart container shop-web-1
    db, which it depends on with restart: true, is made anew or restarted
--
#1 create container shop-db-1  (container:db/1: environment.LEVEL: (none) -> "debug")
#2 keep room for the start of container shop-web-1  (container:web/1: db, which it depends on with restart: true, is made anew or restarted)
#3 [#1 #2] stop container shop-web-1  (container:web/1: db, which it depends on with restart: true, is made anew or restarted)
#4 [#1 ~#3] stop container shop-db-1  (container:db/1: environment.LEVEL: (none) -> "debug")
#5 [#4] delete container shop-db-1  (container:db/1: environment.LEVEL: (none) -> "debug")
#6 [#1 #4 #5] start container shop-db-1  (container:db/1: environment.LEVEL: (none) -> "debug")
#7 [#6] wait for db to be healthy  (container:db/1: web depends on it)
#8 [#3 #7] start container shop-web-1  (container:web/1: db, which it depends on with restart: true, is made anew or restarted)
`},
		{"another image", func() (*Desired, *Observed, Options) {
			h := made(pair())
			h.Images["app:1"] = "sha256:bbbbbbbbbbbbbbbb"
			return pair(), h, Options{Services: []string{"web"}, NoDeps: true}
		}, `
recreate container shop-web-1
    image id of app:1: aaaaaaaaaaaa -> bbbbbbbbbbbb
--
#1 create container shop-web-1  (container:web/1: image id of app:1: aaaaaaaaaaaa -> bbbbbbbbbbbb)
#2 [#1] stop container shop-web-1  (container:web/1: image id of app:1: aaaaaaaaaaaa -> bbbbbbbbbbbb)
#3 [#2] delete container shop-web-1  (container:web/1: image id of app:1: aaaaaaaaaaaa -> bbbbbbbbbbbb)
#4 [#1 #2 #3] start container shop-web-1  (container:web/1: image id of app:1: aaaaaaaaaaaa -> bbbbbbbbbbbb)
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 10 { // no map order shows
				p, diags := Build(tt.plan())
				if err := diags.Err(); err != nil {
					t.Fatal(err)
				}
				if got := p.String(); got != strings.TrimPrefix(tt.text, "\n") {
					t.Fatalf("got\n%s", got)
				}
			}
		})
	}
}

func TestAZeroFieldIsNotInTheRecord(t *testing.T) {
	// Every container on every host would be recreated by an upgrade if this text changed.
	if got, want := Encode(Spec{Image: "a"}), `{"v":1,"spec":{"image":"a"}}`; got != want {
		t.Errorf("got %s, expected %s", got, want)
	}
	if got, want := Encode(NetworkSpec{}), `{"v":1,"spec":{}}`; got != want {
		t.Errorf("got %s, expected %s", got, want)
	}
}

func TestNeverRefusesAMissingImage(t *testing.T) {
	d := want(svc("web", nil))
	d.Services["web"].PullPolicy = "never"
	_, diags := Build(d, &Observed{}, Options{})
	if len(diags) != 1 || diags[0].Address != "services.web.image" {
		t.Errorf("got %v", diags)
	}
}

// TestReasonsAreReadable: commands are shown as they are written.
func TestReasonsAreReadable(t *testing.T) {
	from, to := Encode(Spec{Command: []string{"a > b && c"}}), Encode(Spec{Command: []string{"<a>"}})
	if got := joinReasons(Diff(from, to)); got != `command[0]: "a > b && c" -> "<a>"` {
		t.Error(got)
	}
}
