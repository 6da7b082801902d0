package simulator

import (
	"net/http"
	"time"
)

// Meta's limits. Every call counts, also one that is refused.
//
// https://developers.facebook.com/documentation/business-messaging/messenger-platform/overview/rate-limiting
const (
	callsPerCustomer = 200 // of an app, in a rolling day, for each customer
	appWindow        = time.Hour

	textsPerSecond         = 300 // texts, links, reactions, stickers and all the rest
	audiosPerSecond        = 10  // audio and video
	conversationsPerSecond = 2

	settingCalls  = 10 // to the messenger profile of a Page, or to a customer's settings
	settingWindow = 10 * time.Minute
)

// window counts what happened in the last span. It keeps at most about
// windowTicks counts, whatever happens: what comes within a share of the span
// counts as if it had come with the last of it.
type window struct {
	span  time.Duration
	ticks []tick
}

// tick is how much happened from one time to another.
type tick struct {
	first, last time.Time
	n           int
}

const windowTicks = 100

// add counts one more.
func (w *window) add(now time.Time) {
	w.forget(now)
	if i := len(w.ticks) - 1; i >= 0 && now.Sub(w.ticks[i].first) < w.span/windowTicks {
		w.ticks[i].last = now
		w.ticks[i].n++
		return
	}
	w.ticks = append(w.ticks, tick{now, now, 1})
}

// count returns how much happened in the last span.
func (w *window) count(now time.Time) (n int) {
	w.forget(now)
	for _, t := range w.ticks {
		n += t.n
	}
	return n
}

// until returns when no more than limit will have happened in the last span.
func (w *window) until(now time.Time, limit int) time.Time {
	n := w.count(now)
	for _, t := range w.ticks {
		if n <= limit {
			break
		}
		n -= t.n
		now = t.last.Add(w.span)
	}
	return now
}

func (w *window) forget(now time.Time) {
	for len(w.ticks) > 0 && now.Sub(w.ticks[0].last) >= w.span {
		w.ticks = w.ticks[1:]
	}
}

// pace counts a call against a limit and refuses it if it is over.
func (m *Meta) pace(w *window, limit int, span time.Duration) *GraphError {
	now := m.now()
	w.span = span
	w.add(now)
	if m.opt.EnforceRate && w.count(now) > limit {
		return refuse(613, 0, "(#613) Calls to this api have exceeded the rate limit.")
	}
	return nil
}

// spend counts a call against what the app may do in a day, and the edges that
// have a limit of their own against that.
func (m *Meta) spend(c *call) *GraphError {
	now := m.now()
	c.app.day.span, c.app.hour.span = day, appWindow
	c.app.day.add(now)
	c.app.hour.add(now)
	if m.opt.EnforceRate && c.app.day.count(now) > m.allowed() {
		return refuse(80006, 2446079, "(#80006) There have been too many messenger api calls to this Page account. "+
			"Wait a bit and try again.")
	}
	switch c.edge {
	case EdgeConversations, EdgeConversation, EdgeMessagesOf:
		return m.pace(&m.rate.conversations, conversationsPerSecond, time.Second)
	case EdgeMessengerProfile:
		return m.pace(&m.rate.profile, settingCalls, settingWindow)
	case EdgeUserSettings:
		if t, ok := m.threads[c.psid()]; ok {
			return m.pace(&t.settingCalls, settingCalls, settingWindow)
		}
	}
	return nil
}

// paceSend counts a message of that attachment, or a sender action, against what
// the Page may send in a second.
func (m *Meta) paceSend(attachment string) *GraphError {
	if attachment == "audio" || attachment == "video" {
		return m.pace(&m.rate.audios, audiosPerSecond, time.Second)
	}
	return m.pace(&m.rate.texts, textsPerSecond, time.Second)
}

// paceTag counts a tagged message against what a person may be sent.
func (m *Meta) paceTag(t *thread, tag string) *GraphError {
	if tag == "" || m.pace(&t.tagged, m.opt.Doubts.TagLimit, day) == nil {
		return nil
	}
	return refuse(613, 2018338, "(#613) Too many tagged messages have been sent to this person.")
}

// rate counts what has a limit for the whole Page.
type rate struct {
	texts, audios, conversations, profile window
}

// allowed returns how many calls an app has in a day.
func (m *Meta) allowed() int { return callsPerCustomer * max(1, len(m.threads)) }

// usage is an allowance as Meta's headers tell it. Times are not simulated: zero.
type usage struct {
	Type      string `json:"type,omitempty"`
	CallCount int    `json:"call_count"` // percent of the calls allowed, rounded up
	CPUTime   int    `json:"total_cputime"`
	Time      int    `json:"total_time"`
	Regain    *int   `json:"estimated_time_to_regain_access,omitempty"` // minutes
}

// percent returns the share of calls that were made, rounded up.
func percent(calls, allowed int) int { return (100*calls + allowed - 1) / allowed }

// minutes returns d in minutes, rounded up.
func minutes(d time.Duration) *int {
	n := int((d + time.Minute - 1) / time.Minute)
	return &n
}

// usageHeader tells an app what it has spent. The lock is held.
func (m *Meta) usageHeader(a *app) http.Header {
	if a == nil {
		return http.Header{}
	}
	now := m.now()
	calls, wait := a.day.count(now), time.Duration(0)
	if m.opt.EnforceRate && calls > m.allowed() {
		wait = a.day.until(now, m.allowed()-1).Sub(now)
	}
	return m.header(
		usage{CallCount: percent(calls, m.allowed()), Regain: minutes(wait)},
		usage{CallCount: percent(a.hour.count(now), m.allowed())},
	)
}

// throttleHeader tells that everything is spent, where f says so, and for how long.
func (m *Meta) throttleHeader(f Failure) http.Header {
	if !f.throttles() {
		return http.Header{}
	}
	spent := usage{CallCount: 100}
	business := spent
	business.Regain = minutes(f.For)
	return m.header(business, spent)
}

// header writes the allowance of a Page and that of an app.
//
// https://developers.facebook.com/docs/graph-api/overview/rate-limiting
func (m *Meta) header(business, app usage) http.Header {
	business.Type = "messenger"
	write := func(v any) []string { return []string{string(mustMarshal(v))} }
	return http.Header{
		"X-Business-Use-Case-Usage": write(map[string][]usage{string(m.opt.Page): {business}}),
		"X-App-Usage":               write(app),
	}
}
