package wire

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// Version is one of the API's: major 1, and this is the minor number.
type Version int

// The versions that are served. What was in the API before Min is in no client that is maintained; Max is the newest whose every
// operation that is served here is as its specification says.
const (
	Min Version = 40
	Max Version = 51
)

func (v Version) String() string { return "1." + strconv.Itoa(int(v)) }

type versionKey struct{}

// VersionOf is the version that the client of a request speaks: that of its path, or Max.
func VersionOf(ctx context.Context) Version {
	if v, ok := ctx.Value(versionKey{}).(Version); ok {
		return v
	}
	return Max
}

// splitVersion takes a leading /v1.N off path. ok is false when there is none.
func splitVersion(path string) (v Version, rest string, ok bool, err error) {
	text, found := strings.CutPrefix(path, "/v")
	if !found {
		return 0, path, false, nil
	}
	text, rest, _ = strings.Cut(text, "/")
	major, minor, dotted := strings.Cut(text, ".")
	if !dotted || !number(major) || !number(minor) {
		return 0, path, false, nil
	}
	n, convErr := strconv.Atoi(minor)
	if convErr != nil || n > 1<<20 || len(major) > 9 {
		n = 1 << 20
	}
	switch {
	case major < "1" || major == "1" && n < int(Min):
		err = fmt.Errorf("client version %s.%s is too old. Minimum supported API version is %s, please upgrade your client to a newer version", major, minor, Min)
	case major != "1" || n > int(Max):
		err = fmt.Errorf("client version %s.%s is too new. Maximum supported API version is %s", major, minor, Max)
	}
	return Version(n), "/" + rest, true, errdefs.With(errdefs.ErrInvalidArgument, err)
}

func number(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// withVersion is r for a handler: without the version in its path.
func withVersion(r *http.Request, v Version) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), versionKey{}, v))
}
