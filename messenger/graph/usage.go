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

// told is what the usage headers of an answer told.
type told struct {
	app, page, business string // as they are; "" where they are absent

	some    bool // of it could be read
	percent float64
	wait    time.Duration
}

// noteUsage reads the usage headers of an answer. They mostly say what the answer
// before said, and are not read again then.
func (c *Client) noteUsage(x *exchange) Usage {
	app, page, business := x.told[appUsage], x.told[pageUsage], x.told[businessUsage]
	t := c.told.Load()
	if t == nil || t.app != string(app) || t.page != string(page) || t.business != string(business) {
		t = tell(app, page, business)
		c.told.Store(t)
	}
	if !t.some {
		return Usage{}
	}
	u := Usage{Percent: t.percent, At: c.now()}
	if t.wait > 0 {
		u.PauseUntil = u.At.Add(t.wait)
	}
	c.usage.Store(&u)
	return u
}

// tell reads usage headers. One that cannot be read is passed over: it is advice, and
// the call it came with has its own outcome.
func tell(app, page, business []byte) *told {
	t := &told{app: string(app), page: string(page), business: string(business)}
	var shares []share
	for _, header := range [][]byte{app, page} {
		var s share
		if json.Unmarshal(header, &s) == nil {
			shares = append(shares, s)
		}
	}
	var uses map[string][]share
	if json.Unmarshal(business, &uses) == nil {
		for _, s := range uses {
			shares = append(shares, s...)
		}
	}
	for _, s := range shares {
		t.some = true
		t.percent = max(t.percent, s.CallCount, s.TotalTime, s.TotalCPUTime)
		t.wait = max(t.wait, pause(s.RegainAccess, time.Minute))
	}
	return t
}

// pause returns n units, from 0 to maxPause.
func pause(n float64, unit time.Duration) time.Duration {
	return time.Duration(min(max(n, 0)*float64(unit), float64(maxPause)))
}

// retryAfter says how long an error asks to wait: what Retry-After, "" if absent, says
// (seconds or a date), else when access is regained, else 0.
func (c *Client) retryAfter(e *Error, after string, u Usage) time.Duration {
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
