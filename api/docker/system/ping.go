package system

import (
	"net/http"
	goruntime "runtime"

	"github.com/moby/moby/api/types/system"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/hostinfo"
)

// ping is what clients choose their version by, from the headers that wire.Mux sets. Builder-Version 1 says that builds by
// POST /build are the classic builder's: docker before version 23 would send others (version=2) there. Versions with the plugin buildx use BuildKit's protocol whatever it says.
func (h *handlers) ping(w http.ResponseWriter, r *http.Request) error {
	head := w.Header()
	head.Set("Builder-Version", "1")
	head.Set("Swarm", "inactive")
	head.Set("Cache-Control", "no-cache, no-store, must-revalidate")
	head.Set("Pragma", "no-cache")
	head.Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method == http.MethodHead {
		head.Set("Content-Length", "0")
		return nil
	}
	w.Write([]byte("OK")) //nolint:errcheck // the peer is gone
	return nil
}

// plugins: there are none.
func (h *handlers) plugins(w http.ResponseWriter, _ *http.Request) error {
	return wire.JSON(w, http.StatusOK, []struct{}{})
}

func (h *handlers) version(w http.ResponseWriter, _ *http.Request) error {
	host := hostinfo.Read()
	return wire.JSON(w, http.StatusOK, system.VersionResponse{
		Platform:   system.PlatformInfo{Name: "stack"},
		Version:    h.opt.Version,
		APIVersion: wire.Max.String(), MinAPIVersion: wire.Min.String(),
		Os: "linux", Arch: goruntime.GOARCH, GoVersion: goruntime.Version(), KernelVersion: host.Kernel,
		Components: []system.ComponentVersion{{Name: "Engine", Version: h.opt.Version, Details: map[string]string{
			"ApiVersion": wire.Max.String(), "MinAPIVersion": wire.Min.String(), "Os": "linux", "Arch": goruntime.GOARCH,
			"GoVersion": goruntime.Version(), "KernelVersion": host.Kernel, "Experimental": "false",
		}}},
	})
}
