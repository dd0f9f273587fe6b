package preview

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/plan"
)

func shopPreview() *ask.Preview {
	return &ask.Preview{Project: "shop", Changes: []plan.Change{
		{ID: plan.ID{Kind: plan.KindImage, Name: "nginx"}, Name: "nginx", Action: plan.Ask, Reasons: []plan.Reason{{Path: "its pull policy asks for a look at the registry"}}},
		{ID: plan.ID{Kind: plan.KindImage, Name: "postgres"}, Name: "postgres", Action: plan.Pull, Reasons: []plan.Reason{{Path: "it is not on this host"}}},
		{ID: plan.ID{Kind: plan.KindNetwork, Name: "shop_default"}, Name: "shop_default", Action: plan.Create, Reasons: []plan.Reason{{Path: "its bridge is gone"}}},
		{ID: plan.Container("db", 1), Name: "shop-db-1", Action: plan.Create, Reasons: []plan.Reason{{Path: "it does not exist"}}},
		{ID: plan.Container("web", 1), Name: "shop-web-1", Action: plan.Replace, Reasons: []plan.Reason{
			{Path: "environment.API_TOKEN", From: "(hidden)", To: "(hidden)"}, {Path: "environment.LEVEL", From: `"<1>"`, To: `"2"`}}},
	}}
}

func TestPlanAndDriftText(t *testing.T) {
	for _, tt := range []struct{ name, got, want string }{
		{"plan", planText(shopPreview()), `images
  would ask the registry for nginx
      its pull policy asks for a look at the registry
  pull postgres
      it is not on this host
networks
  create shop_default
      its bridge is gone
containers
  create shop-db-1
      it does not exist
  recreate shop-web-1
      environment.API_TOKEN: (hidden) -> (hidden)
      environment.LEVEL: "<1>" -> "2"

shop: 1 to pull, 1 to ask the registry for, 2 to create, 1 to recreate
`},
		{"an empty plan", planText(&ask.Preview{Project: "shop"}), "shop: nothing to do\n"},
		{"drift", DriftText(&ask.Preview{Project: "shop", Changes: shopPreview().Changes[2:]}), `networks
  shop_default
      its bridge is gone
containers
  shop-db-1
      it does not exist
  shop-web-1
      environment.API_TOKEN: (hidden) -> (hidden)
      environment.LEVEL: "<1>" -> "2"

shop: 4 differences
`},
		{"no drift", DriftText(&ask.Preview{Project: "shop"}), "shop: this host is as the file of the last up says\n"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s:\n%s\nwant:\n%s", tt.name, tt.got, tt.want)
		}
	}
}

func TestPreviewJSON(t *testing.T) {
	v := &ask.Preview{Project: "shop", Changes: shopPreview().Changes[4:]}
	var b strings.Builder
	if err := Write(&b, v, formatter.JSON, nil); err != nil {
		t.Fatal(err)
	}
	const want = `{
  "project": "shop",
  "changes": [
    {
      "id": {
        "kind": "container",
        "name": "web",
        "replica": 1
      },
      "name": "shop-web-1",
      "action": "recreate",
      "reasons": [
        {
          "path": "environment.API_TOKEN",
          "from": "(hidden)",
          "to": "(hidden)"
        },
        {
          "path": "environment.LEVEL",
          "from": "\"<1>\"",
          "to": "\"2\""
        }
      ]
    }
  ]
}
`
	if b.String() != want {
		t.Errorf("got %s", b.String())
	}
}
