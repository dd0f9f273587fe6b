package cli

import (
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// Timeout is --timeout when it was given; nil means each container's own grace period.
func Timeout(cmd *cobra.Command, seconds int) *time.Duration {
	if !cmd.Flags().Changed("timeout") {
		return nil
	}
	d := time.Duration(seconds) * time.Second
	return &d
}

// ParseTime reads a time, a duration before now, or seconds since 1970 with a fraction; "" is the zero time.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f > 1e11 {
		return time.Time{}, errors.New("no time")
	}
	return time.Unix(0, int64(f*1e9)), nil
}
