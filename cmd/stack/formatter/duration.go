package formatter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Duration is a duration as docker says it.
func Duration(d time.Duration) string {
	s, m, h := int(d.Seconds()), int(d.Minutes()), int(d.Hours()+0.5)
	switch {
	case s < 1:
		return "Less than a second"
	case s == 1:
		return "1 second"
	case s < 60:
		return fmt.Sprintf("%d seconds", s)
	case m == 1:
		return "About a minute"
	case m < 60:
		return fmt.Sprintf("%d minutes", m)
	case h == 1:
		return "About an hour"
	case h < 48:
		return fmt.Sprintf("%d hours", h)
	case h < 24*14:
		return fmt.Sprintf("%d days", h/24)
	case h < 24*60:
		return fmt.Sprintf("%d weeks", h/24/7)
	case h < 24*365*2:
		return fmt.Sprintf("%d months", h/24/30)
	}
	return fmt.Sprintf("%d years", h/24/365)
}

// Labels are labels as docker lists them: KEY=VALUE, sorted by key.
func Labels(labels map[string]string) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		all = append(all, k+"="+labels[k])
	}
	return strings.Join(all, ",")
}
