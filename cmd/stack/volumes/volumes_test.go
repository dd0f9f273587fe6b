package volumes_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/reconcile/ask"
)

func TestVolumes(t *testing.T) {
	u := stacktest.NewPerson(t, &apitest.Engine{OnVolumes: func(context.Context, string) ([]ask.Volume, error) {
		return []ask.Volume{
			{Name: "0123", Driver: "local", Path: "/v/0123/_data", Services: []string{"web"}, Anonymous: true},
			{Name: "shop_data", Driver: "local", Path: "/v/shop_data/_data", Services: []string{"db"}, Labels: map[string]string{"b": "2", "a": "1"}},
			{Name: "shop_spare", Driver: "local", Services: []string{}},
		}, nil
	}})
	for line, want := range map[string]string{
		"volumes":       "DRIVER VOLUME NAME local 0123 local shop_data local shop_spare",
		"volumes db":    "DRIVER VOLUME NAME local shop_data",
		"volumes -q":    "0123 shop_data shop_spare",
		"volumes -q db": "shop_data",
		"volumes --format {{.Name}}={{.Mountpoint}} db": "shop_data=/v/shop_data/_data",
		"volumes --format json db": `{"Availability":"N/A","Driver":"local","Group":"N/A","Labels":"a=1,b=2","Links":"N/A","Mountpoint":"/v/shop_data/_data",` +
			`"Name":"shop_data","Scope":"local","Size":"N/A","Status":"N/A"}`,
	} {
		code, out, errs := u.Run(line)
		if code != 0 || stacktest.Squeezed(out) != want {
			t.Errorf("stack %s: code %d, got %q, want %q; %s", line, code, stacktest.Squeezed(out), want, errs)
		}
	}
	if _, out, _ := u.Args("volumes", "--format", `table {{.Name}}\t{{.Scope}}\t{{.Label "a"}}`, "db"); stacktest.Squeezed(out) != "VOLUME NAME SCOPE a shop_data local 1" {
		t.Errorf("table: %q", out)
	}
	if code, _, errs := u.Run("volumes --format {{.Nonsense}}"); code != 1 || !strings.Contains(errs, "invalid --format") {
		t.Errorf("a key that there is not: %d, %s", code, errs)
	}
}
