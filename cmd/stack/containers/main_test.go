package containers_test

import (
	"testing"

	"github.com/stackrun/stack/cmd/stack/stacktest"
)

func TestMain(m *testing.M) { stacktest.Main(m) }
