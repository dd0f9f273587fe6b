package child

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
		_, failure, _, err := (&Child{Reports: &Reports{file: ours}}).AwaitStart(t.Context(), nil, func() error { return missing })
		if err != nil || failure == nil || failure.Stage != tt.want.Stage || failure.Detail != tt.want.Detail || failure.ExitCode != tt.want.ExitCode {
			t.Errorf("%s: %+v, %v", tt.name, failure, err)
		}
		ours.Close()
		theirs.Close()
	}
}

// A container can fail before its monitor has heard that there are cgroups: it has told why, and ends with that word unread, or is gone when it comes.
func TestTheCauseOfAStartThatFailedBeforeItsLastWord(t *testing.T) {
	want := &proto.Report{Type: proto.ReportFailed, Failure: &proto.Failure{Stage: "mount", Detail: "no file system", ExitCode: 125}}
	for name, gone := range map[string]bool{"unread": false, "gone": true} {
		t.Run(name, func(t *testing.T) {
			ours, theirs, err := unixPair()
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			if err := proto.Send(int(theirs.Fd()), want); err != nil {
				t.Fatal(err)
			}
			p := &Child{Reports: &Reports{file: ours}}
			if gone {
				theirs.Close()
			}
			handed := p.Say(proto.WorkGo)
			if gone != (handed != nil) {
				t.Fatalf("it was told: %v", handed)
			}
			theirs.Close()
			_, failure, _, err := p.AwaitStart(t.Context(), handed, nil)
			if err != nil || failure == nil || failure.Detail != "no file system" {
				t.Errorf("%+v, %v", failure, err)
			}
			if _, failure, _, _ = p.AwaitStart(t.Context(), handed, nil); failure == nil || failure.Stage != "monitor" {
				t.Errorf("after its end: %+v", failure)
			}
		})
	}
}
