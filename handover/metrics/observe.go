package metrics

import (
	"net/http"
	"strings"
	"time"

	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
	"usher/messenger/graph"
	"usher/messenger/watch"
	"usher/messenger/webhook"
)

// results are what can become of a delivery, by the status of its answer.
//
//nolint:gochecknoglobals // a table
var results = map[int]string{
	http.StatusOK:                    "stored",
	http.StatusBadRequest:            "broken_off",
	http.StatusUnauthorized:          "forged",
	http.StatusRequestEntityTooLarge: "too_long",
	http.StatusUnsupportedMediaType:  "compressed",
	http.StatusServiceUnavailable:    "not_stored",
}

// Delivery counts a delivery; for [webhook.Options].
func (m *Metrics) Delivery(d webhook.Delivery) {
	result, known := results[d.Status]
	if !known {
		result = other
	}
	m.deliveries.WithLabelValues(result).Inc()
	if d.Status == http.StatusOK {
		for i := range d.Events {
			e := &d.Events[i]
			m.events.WithLabelValues(m.pages.of(string(e.Thread.Page)), kinds.of(string(e.Kind))).Inc()
		}
	}
	if d.Status == http.StatusOK || d.Status == http.StatusServiceUnavailable {
		m.ack.Observe(d.Took.Seconds())
	}
}

// Sight counts what was seen of a Page's deliveries; for [watch.Options].
func (m *Metrics) Sight(page messenger.PageID, s watch.Sight) {
	m.sights.WithLabelValues(m.pages.of(string(page)), saws.of(string(s))).Inc()
}

// Line counts what a line of history tells; for [engine.Options].
func (m *Metrics) Line(l engine.Line) {
	thread, _, _ := strings.Cut(l.Thread, ":")
	page := m.pages.of(thread)
	if l.Moved {
		m.changes.WithLabelValues(page, l.To.String(), causes.of(string(l.Cause))).Inc()
	}
	if end := l.End(); end != "" {
		call, _, _ := strings.Cut(l.Call, " ")
		m.calls.WithLabelValues(page, calls.of(call), ends.of(end)).Inc()
	}
	if l.Alarm != "" {
		m.alarms.WithLabelValues(page, alarms.of(l.Alarm)).Inc()
	}
	if l.What == "buried" {
		m.buried.WithLabelValues(page).Inc()
	}
	if l.Episode != nil {
		m.episode(page, *l.Episode)
	}
}

func (m *Metrics) episode(page string, ep handover.Episode) {
	m.episodes.WithLabelValues(page, causes.of(string(ep.Ended))).Inc()
	if ep.FirstReply.IsZero() {
		m.waiting.WithLabelValues(page).Observe(max(ep.Closed.Sub(ep.Asked), 0).Seconds())
	}
}

// Measure takes what something took; for [engine.Options].
func (m *Metrics) Measure(x engine.Measure) {
	seconds := max(x.Took, 0).Seconds() // clocks may step
	switch x.What {
	case engine.Lag:
		m.lag.Observe(seconds)
	case engine.Reply:
		m.reply.WithLabelValues(m.pages.of(string(x.Page))).Observe(seconds)
	case engine.FirstReply:
		m.firstReply.WithLabelValues(m.pages.of(string(x.Page))).Observe(seconds)
	case engine.Late:
		m.late.Observe(seconds)
	case engine.Commit:
		m.commit.Observe(seconds)
	}
}

// Request counts a request to the Graph API; for [graph.Options].
func (m *Metrics) Request(page messenger.PageID, c graph.Call) {
	edge := edges.of(c.Edge)
	m.requests.WithLabelValues(m.pages.of(string(page)), edge, graph.Outcome(c.Err)).Inc()
	m.requestTook.WithLabelValues(edge).Observe(c.Took.Round(time.Microsecond).Seconds())
}

// The words of labels. A test compares them with those of the code.
//
//nolint:gochecknoglobals // tables
var (
	edges = wordsOf(graph.Edges()...)
	saws  = wordsOf(watch.Sights()...)
	kinds = wordsOf(
		messenger.KindMessage, messenger.KindQuickReply, messenger.KindPostback, messenger.KindEcho, messenger.KindPass,
		messenger.KindTake, messenger.KindRequest, messenger.KindAppRoles, messenger.KindRead, messenger.KindDelivery,
		messenger.KindReaction, messenger.KindOptin, messenger.KindReferral, messenger.KindAccountLinking,
		messenger.KindPolicy, messenger.KindEdit, messenger.KindFeedback, messenger.KindUnknown,
	)
	causes = wordsOf(
		handover.CauseButton, handover.CauseQuickReply, handover.CauseKeyword, handover.CauseMenu, handover.CauseScript,
		handover.CauseMisunderstood, handover.CauseAgentSpoke, handover.CauseAgentAsked, handover.CauseOperator,
		handover.CauseControlLost, handover.CauseControlTaken, handover.CauseControlPassed, handover.CauseControlReturned,
		handover.CauseDone, handover.CauseTimeLimit, handover.CauseReopened, handover.CauseBufferOver, handover.CauseHandoffFailed,
	)
	alarms = wordsOf(
		handover.AlarmTakeRefused, handover.AlarmTakeFailed, handover.AlarmHandoffFailed, handover.AlarmLoop,
	)
	calls = wordsOf("answer", "say", "say_and_pass", "pass", "take", "release", "read_owner", "read_profile")
	ends  = wordsOf("ok", "refused", "failed", "given_up", "retried", "held", "unsure", "cancelled", "expired", "overtaken")
)
