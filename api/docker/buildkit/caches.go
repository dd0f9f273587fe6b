package buildkit

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/stackrun/stack/api/docker/buildkit/message"
	"github.com/stackrun/stack/internal/buildcache"
)

// caches are where req wants steps to be taken from, and put. Directories are the client's, and would have to be read over its session.
func (d *dockerfile) caches(req *message.Solve) error {
	imports := slices.Clone(req.CacheImports)
	// A client says them again in an attribute of the frontend's, in one of two ways.
	if text := req.Attrs["cache-imports"]; text != "" {
		var more []message.Typed
		if err := json.Unmarshal([]byte(text), &more); err != nil {
			return invalid("cache-imports=%s: %w", text, err)
		}
		imports = append(imports, more...)
	}
	for ref := range strings.SplitSeq(req.Attrs["cache-from"], ",") {
		if ref != "" {
			imports = append(imports, message.Typed{Type: buildcache.Registry, Attrs: map[string]string{"ref": ref}})
		}
	}
	for _, c := range imports {
		if c.Type == buildcache.Local {
			d.warn("--cache-from type=local has no effect: the directory is the client's. Use type=registry, or cache_from in a Compose file and `stack build`")
			continue
		}
		at, void, err := buildcache.FromAttributes(c.Type, c.Attrs)
		if err != nil {
			return invalid("--cache-from: %w", err)
		}
		if void != "" {
			d.warn("--cache-from " + void)
		}
		if at.Type != "" && !slices.Contains(d.build.CacheFrom, at) {
			d.build.CacheFrom = append(d.build.CacheFrom, at)
		}
	}
	for _, c := range req.CacheExports {
		if c.Type != buildcache.Registry && c.Type != buildcache.Inline {
			return refused("--cache-to type=%s is not supported: expected type=%s or type=%s", c.Type, buildcache.Registry, buildcache.Inline)
		}
		at, void, err := buildcache.ToAttributes(c.Type, c.Attrs)
		if err != nil {
			return invalid("--cache-to: %w", err)
		}
		if void != "" {
			d.warn("--cache-to " + void)
		}
		d.build.CacheTo = append(d.build.CacheTo, at)
	}
	return nil
}
