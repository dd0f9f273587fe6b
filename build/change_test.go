package build

import (
	"errors"
	"reflect"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
)

func TestChange(t *testing.T) {
	conf := v1.Config{Env: []string{"PATH=/bin", "A=1"}, Labels: map[string]string{"old": "x"}, Cmd: []string{"before"}, WorkingDir: "/srv"}
	err := Change(&conf, []string{`CMD ["serve", "--all"]`, `ENTRYPOINT /entry`, `ENV A=2 B=$A`, `EXPOSE 80 443/udp`, `LABEL new="a b"`, `USER 1000:1000`, `VOLUME /data`, `WORKDIR app`, `STOPSIGNAL SIGQUIT`, `ONBUILD RUN x`,
		"HEALTHCHECK --interval=5s CMD check\nenv c=3"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"PATH=/bin", "A=2", "B=1", "c=3"}; !reflect.DeepEqual(conf.Env, want) {
		t.Errorf("env %q", conf.Env)
	}
	if !reflect.DeepEqual(conf.Cmd, []string{"serve", "--all"}) || !reflect.DeepEqual(conf.Entrypoint, []string{"/bin/sh", "-c", "/entry"}) || conf.User != "1000:1000" || conf.WorkingDir != "/srv/app" || conf.StopSignal != "SIGQUIT" {
		t.Errorf("%+v", conf)
	}
	if !reflect.DeepEqual(conf.Labels, map[string]string{"old": "x", "new": "a b"}) || len(conf.Volumes) != 1 || len(conf.ExposedPorts) != 2 || conf.Healthcheck == nil || len(conf.OnBuild) != 1 {
		t.Errorf("%+v", conf)
	}
	before := *conf.DeepCopy()
	for _, text := range []string{"RUN x", "FROM x", "COPY a b", "NONSENSE", "EXPOSE x", "STOPSIGNAL SIGNONE", "ENV", "USER ${x"} {
		if err := Change(&conf, []string{"LABEL lost=1", text}); !errors.Is(err, errdefs.ErrInvalidArgument) || !reflect.DeepEqual(conf, before) {
			t.Errorf("%s: %v, %+v", text, err, conf)
		}
	}
}
