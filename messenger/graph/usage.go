package graph

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// Usage is how much of Meta's allowance is spent, as the latest answer that told
// has it.
//
// https://developers.facebook.com/docs/graph-api/overview/rate-limiting
type Usage struct {
	// Percent is the highest of all percentages: of calls, time and CPU time, of
	// app, Page and business. At 100 calls are refused; from about 75 it is wise
	// to slow down.
	Percent float64
	// PauseUntil is when calls will be accepted again; zero when they are now.
	PauseUntil time.Time
	// At is when the answer came.
	At time.Time
}

// Usage returns what the latest answer told; zero before the first.
func (c *Client) Usage() Usage {
	if u := c.usage.Load(); u != nil {
		return *u
	}
	return Usage{}
}

// maxPause bounds what a header can ask for.
const maxPause = 24 * time.Hour

// share is one allowance:
//
//	{"type":"messenger","call_count":28,"total_time":25,"total_cputime":25,"estimated_time_to_regain_access":0}
type share struct {
	CallCount    float64 `json:"call_count"`
	TotalTime    float64 `json:"total_time"`
	TotalCPUTime float64 `json:"total_cputime"`
	RegainAccess float64 `json:"estimated_time_to_regain_access"` // minutes
}

// noteUsage reads the usage headers of an answer. One that cannot be read is
// passed over: it is advice, and the call it came with has its own outcome.
func (c *Client) noteUsage(h http.Header) Usage {
	var shares []share
	for _, name := range []string{"X-App-Usage", "X-Page-Usage"} {
		var s share
		if told := h.Get(name); told != "" && json.Unmarshal([]byte(told), &s) == nil {
			shares = append(shares, s)
		}
	}
	var business map[string][]share
	if told := h.Get("X-Business-Use-Case-Usage"); told != "" && json.Unmarshal([]byte(told), &business) == nil {
		for _, s := range business {
			shares = append(shares, s...)
		}
	}
	if len(shares) == 0 {
		return Usage{}
	}
	u := Usage{At: c.now()}
	var wait time.Duration
	for _, s := range shares {
		u.Percent = max(u.Percent, s.CallCount, s.TotalTime, s.TotalCPUTime)
		wait = max(wait, pause(s.RegainAccess, time.Minute))
	}
	if wait > 0 {
		u.PauseUntil = u.At.Add(wait)
	}
	c.usage.Store(&u)
	return u
}

// pause returns n units, from 0 to maxPause.
func pause(n float64, unit time.Duration) time.Duration {
	return time.Duration(min(max(n, 0)*float64(unit), float64(maxPause)))
}

// retryAfter says how long an error asks to wait: what Retry-After says
// (seconds or a date), else when access is regained, else 0.
func (c *Client) retryAfter(e *Error, h http.Header, u Usage) time.Duration {
	after := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(after); err == nil {
		return pause(float64(seconds), time.Second)
	}
	if date, err := http.ParseTime(after); err == nil {
		return pause(date.Sub(c.now()).Seconds(), time.Second)
	}
	if e.kind == ErrRateLimited && !u.PauseUntil.IsZero() { //nolint:errorlint // sentinels are compared by identity
		return u.PauseUntil.Sub(c.now())
	}
	return 0
}
