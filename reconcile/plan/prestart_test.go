package plan

import (
	"strings"
	"testing"
	"time"
)

// TestPreStart: what is done once comes before every start of the service, and after every stop of it; what is done for each replica, before that.
func TestPreStart(t *testing.T) {
	desired := func(replicas int) *Desired {
		web := svc("web", nil)
		web.Replicas = replicas
		web.Spec.PreStart = []InitStep{{Hook: Hook{Command: []string{"migrate"}}}, {Hook: Hook{Command: []string{"warm"}}, Image: "step:1", PerReplica: true}}
		return want(web)
	}
	rolling := func(d *Desired, startFirst bool) *Desired {
		d.Services["web"].Update = &Rollout{Parallelism: 1, Monitor: time.Second, OnFailure: Rollback, StartFirst: startFirst}
		return d
	}
	host := func(d *Desired) *Observed {
		h := made(d)
		h.Images["step:1"] = "sha256:c"
		for i := range h.Containers {
			h.Containers[i].ID = madeID("web", i+1)
			h.Containers[i].PreStart = d.Services["web"].Spec.PreStart
		}
		return h
	}
	changed := func(d *Desired) *Desired {
		d.Services["web"].Spec.User = "7"
		return d
	}
	steps := func(p *Plan) string {
		_, text, _ := strings.Cut(p.String(), "--\n")
		var out []string
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, "  (")
			out = append(out, line)
		}
		return strings.Join(out, "\n")
	}
	build := func(d *Desired, h *Observed) string {
		p, diags := Build(d, h, Options{})
		if len(diags) > 0 {
			t.Fatal(diags)
		}
		return steps(p)
	}
	onlyFirst := host(desired(2))
	onlyFirst.Containers[1].Status, onlyFirst.Containers[1].ExitCode = StatusExited, 1
	for _, tt := range []struct{ name, got, want string }{
		{"from nothing", build(desired(2), &Observed{Images: map[string]string{"app:1": "sha256:a"}}), `
#1 pull image step:1
#2 create network shop_default
#3 [#1 #2] create container shop-web-1
#4 [#1 #2 #3] run pre_start[0], pre_start[1] of container shop-web-1
#5 [#1 #2 #3 #4] start container shop-web-1
#6 [#1 #2] create container shop-web-2
#7 [#1 #2 #4 #6] run pre_start[1] of container shop-web-2
#8 [#1 #2 #4 #6 #7] start container shop-web-2`},
		{"one more", build(desired(2), host(desired(1))), `
#1 create container shop-web-2
#2 [#1] run pre_start[1] of container shop-web-2
#3 [#1 #2] start container shop-web-2`},
		{"one has ended", build(desired(2), onlyFirst), `
#1 run pre_start[1] of container shop-web-2
#2 [#1] start container shop-web-2`},
		{"restart", steps(BuildRestart("shop", host(desired(2)), RestartOptions{})), `
#1 keep room for the start of container shop-web-1
#2 keep room for the start of container shop-web-2
#3 [#1 #2] stop container shop-web-1
#4 [#1 #2] stop container shop-web-2
#5 [#3 ~#4] run pre_start[0], pre_start[1] of container shop-web-1
#6 [#3 #5] start container shop-web-1
#7 [#4 #5] run pre_start[1] of container shop-web-2
#8 [#4 #5 #7] start container shop-web-2`},
		{"other", build(changed(desired(2)), host(desired(2))), `
#1 create container shop-web-1
#2 create container shop-web-2
#3 [#1 #2] stop container shop-web-1
#4 [#3] delete container shop-web-1
#5 [#1 #2] stop container shop-web-2
#6 [#5] delete container shop-web-2
#7 [#1 #3 #4 ~#5] run pre_start[0], pre_start[1] of container shop-web-1
#8 [#1 #3 #4 #7] start container shop-web-1
#9 [#2 #5 #6 #7] run pre_start[1] of container shop-web-2
#10 [#2 #5 #6 #7 #9] start container shop-web-2`},
		{"in turns", build(rolling(changed(desired(2)), true), host(desired(2))), `
#1 create container shop-web-1
#2 [#1] run pre_start[0], pre_start[1] of container shop-web-1
#3 [#1 #2] start container shop-web-1
#4 [#3] wait for container shop-web-1 to be ready
#5 [#4] hand names and ports over to container shop-web-1
#6 [#5] watch container shop-web-1 for 1s
#7 [#5] stop container made-web-1_shop-web-1
#8 [~#6 ~#7] go on with batch 2 of web
#9 [#2 #8] create container shop-web-2
#10 [#2 #8 #9] run pre_start[1] of container shop-web-2
#11 [#2 #8 #9 #10] start container shop-web-2
#12 [#11] wait for container shop-web-2 to be ready
#13 [#12] hand names and ports over to container shop-web-2
#14 [#13] watch container shop-web-2 for 1s
#15 [#13] stop container made-web-2_shop-web-2
#16 [~#6 ~#7 ~#14 ~#15] end the update of web, on failure rollback
#17 [#6 #7 #16] delete container made-web-1_shop-web-1
#18 [#14 #15 #16] delete container made-web-2_shop-web-2`},
		{"in turns, stopped first", build(rolling(changed(desired(2)), false), host(desired(2))), `
#1 create container shop-web-1
#2 [#1] stop container made-web-1_shop-web-1
#3 [#1 #2] run pre_start[0], pre_start[1] of container shop-web-1
#4 [#1 #2 #3] start container shop-web-1
#5 [#4] watch container shop-web-1 for 1s
#6 [~#5] go on with batch 2 of web
#7 [#3 #6] create container shop-web-2
#8 [#3 #6 #7] stop container made-web-2_shop-web-2
#9 [#3 #6 #7 #8] run pre_start[1] of container shop-web-2
#10 [#3 #6 #7 #8 #9] start container shop-web-2
#11 [#10] watch container shop-web-2 for 1s
#12 [~#5 ~#11] end the update of web, on failure rollback
#13 [#5 #12] delete container made-web-1_shop-web-1
#14 [#11 #12] delete container made-web-2_shop-web-2`},
	} {
		if got := "\n" + tt.got; got != tt.want {
			t.Errorf("%s: got%s\nwant%s", tt.name, got, tt.want)
		}
	}
}
