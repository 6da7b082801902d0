package config

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// errDuration reports text that is no duration.
var errDuration = errors.New("not a duration")

// ParseDuration reads 90s, 30m, 12h, 2d, 1d12h and what [time.ParseDuration]
// reads. All but 0 needs a unit; less than nothing is refused.
func ParseDuration(s string) (time.Duration, error) {
	number, rest, found := strings.Cut(s, "d")
	if !found {
		number, rest = "0", s
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil && s != "0" {
		return 0, fmt.Errorf("%w: %q has no unit: write %ss, %sm, %sh or %sd", errDuration, s, s, s, s, s)
	}
	days, err := strconv.ParseInt(number, 10, 64)
	if err != nil || days < 0 || days > math.MaxInt64/int64(day) {
		return 0, wrongDuration(s)
	}
	if rest == "" && found {
		rest = "0"
	}
	d, err := time.ParseDuration(rest)
	total := time.Duration(days)*day + d
	if err != nil || d < 0 || total < 0 || strings.ContainsAny(s, "+-") {
		return 0, wrongDuration(s)
	}
	return total, nil
}

func wrongDuration(s string) error {
	return fmt.Errorf("%w: %q: write a number and a unit (ms, s, m, h, d), such as 30m, 12h, 2d or 1d12h", errDuration, s)
}

// zeroTail are the units that [time.Duration.String] writes without need.
var zeroTail = regexp.MustCompile(`([hm])0[ms](0s)?$`)

// FormatDuration writes d as ParseDuration reads it, in days where it can: 1d12h.
func FormatDuration(d time.Duration) string {
	days, rest := d/day, d%day
	switch {
	case d == 0:
		return "0"
	case days == 0:
		return zeroTail.ReplaceAllString(rest.String(), "$1")
	case rest == 0:
		return fmt.Sprintf("%dd", days)
	}
	return fmt.Sprintf("%dd%s", days, zeroTail.ReplaceAllString(rest.String(), "$1"))
}
