package wording

import (
	"testing"

	"github.com/stackrun/stack/reconcile/plan"
)

func TestRedact(t *testing.T) {
	for _, tt := range []struct {
		reason plan.Reason
		want   string
	}{
		{plan.Reason{Path: "environment.MODE", From: `"a"`, To: `"b"`}, `environment.MODE: "a" -> "b"`},
		{plan.Reason{Path: "environment.POSTGRES_PASSWORD", From: `"a"`, To: `"b"`}, `environment.POSTGRES_PASSWORD: (hidden) -> (hidden)`},
		{plan.Reason{Path: "environment.api_token", To: `"b"`}, `environment.api_token: (none) -> (hidden)`},
		{plan.Reason{Path: "environment.DB", From: `"postgres://u:p@db/x"`, To: `"postgres://u@db/x"`}, `environment.DB: (hidden) -> (hidden)`},
		{plan.Reason{Path: "secrets[0].digest", From: `"2c8b08da5ce60398"`, To: `"27dd8ed44a83ff94"`}, `secrets[0].digest: (hidden) -> (hidden)`},
		{plan.Reason{Path: "spec.secrets[12].digest", To: `"27dd8ed44a83ff94"`}, `spec.secrets[12].digest: (none) -> (hidden)`},
		{plan.Reason{Path: "configs[0].digest", From: `"2c8b08da5ce60398"`, To: `"27dd8ed44a83ff94"`}, `configs[0].digest: 2c8b08da5ce6 -> 27dd8ed44a83`},
		{plan.Reason{Path: "secrets[0].target", From: `"/a"`, To: `"/b"`}, `secrets[0].target: "/a" -> "/b"`},
		{plan.Reason{Path: "pre_start", To: `[{"command":["a","&"],"environment":{"TOKEN":"s3cret","MODE":"m"}}]`}, `pre_start: (none) -> [{"command":["a","&"],"environment":{"MODE":"m","TOKEN":"(hidden)"}}]`},
		{plan.Reason{Path: "pre_stop[0].environment.TOKEN", From: `"a"`, To: `"b"`}, `pre_stop[0].environment.TOKEN: (hidden) -> (hidden)`},
		{plan.Reason{Path: "asked for by --force-recreate"}, "asked for by --force-recreate"},
	} {
		if got := Redact(tt.reason).String(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}
