package runtime

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// A container can fail between its monitor's word that clients may come and the first client's coming: the monitor is gone
// then, and its last report says why.
func TestTheCauseOfAStartThatNobodyCouldAttachTo(t *testing.T) {
	missing := errors.New("connect: no such file or directory")
	for _, tt := range []struct {
		name    string
		reports []*proto.Report
		want    proto.Failure
	}{
		{"the monitor has told", []*proto.Report{{Type: proto.ReportListening}, {Type: proto.ReportFailed, Failure: &proto.Failure{Stage: "exec", Detail: "not found", ExitCode: 127}}},
			proto.Failure{Stage: "exec", Detail: "not found", ExitCode: 127}},
		{"it has not", []*proto.Report{{Type: proto.ReportListening}}, proto.Failure{Stage: "monitor", Detail: missing.Error(), ExitCode: 125}},
	} {
		ours, theirs, err := unixPair()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range tt.reports {
			if err := proto.Send(int(theirs.Fd()), r); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Shutdown(int(theirs.Fd()), unix.SHUT_WR); err != nil {
			t.Fatal(err)
		}
		_, failure, _, err := awaitStart(t.Context(), &spawned{reports: &reports{file: ours}}, func() error { return missing })
		if err != nil || failure == nil || failure.Stage != tt.want.Stage || failure.Detail != tt.want.Detail || failure.ExitCode != tt.want.ExitCode {
			t.Errorf("%s: %+v, %v", tt.name, failure, err)
		}
		ours.Close()
		theirs.Close()
	}
}
