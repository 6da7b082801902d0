package handover_test

import (
	"fmt"
	"strings"
	"time"

	"usher/handover"
)

// How transcripts name things.

var acts = map[string]handover.Act{
	"text": handover.ActText, "quick_reply": handover.ActQuickReply, "postback": handover.ActPostback,
	"media": handover.ActMedia, "referral": handover.ActReferral,
}

var outcomes = map[handover.Outcome]string{
	handover.OK: "ok", handover.NotOwner: "not_owner", handover.Refused: "refused", handover.OutsideWindow: "outside_window",
	handover.Unreachable: "unreachable", handover.BadParameter: "bad_parameter", handover.Failed: "failed",
}

// firstDay is the day on which transcripts begin.
var firstDay = time.Date(2026, time.November, 2, 0, 0, 0, 0, time.UTC)

// describeState shows a state in one line: phase and its cause, until when, and
// what is awaited.
func describeState(s handover.State) string {
	line := s.Phase.String()
	if s.Cause != "" {
		line += " (" + string(s.Cause) + ")"
	}
	if !s.Deadline.IsZero() {
		line += " until " + describeTime(s.Deadline)
	}
	if s.Awaiting != handover.AwaitingNothing {
		line += ", awaiting " + string(s.Awaiting)
	}
	return line
}

// describe shows an effect as transcripts do.
func describe(effect handover.Effect) string {
	switch effect := effect.(type) {
	case handover.Answer:
		line := "Answer"
		if effect.First {
			line += " first"
		}
		if effect.Misses > 0 {
			line += fmt.Sprintf(" misses=%d", effect.Misses)
		}
		if effect.Disclose {
			line += " disclose"
		}
		return line
	case handover.Said:
		return "Said"
	case handover.Say:
		return "Say " + string(effect.Text)
	case handover.SayAndPass:
		return fmt.Sprintf("SayAndPass %s to %s (%s)", effect.Text, effect.Target, effect.Cause)
	case handover.Pass:
		return fmt.Sprintf("Pass to %s (%s)", effect.Target, effect.Cause)
	case handover.Take:
		return fmt.Sprintf("Take (%s)", effect.Cause)
	case handover.Release:
		return "Release"
	case handover.ReadOwner:
		return "ReadOwner"
	case handover.Defer:
		return "Defer"
	case handover.Alarm:
		return "Alarm " + string(effect.Reason)
	case handover.EndEpisode:
		return describeEpisode(effect.Episode)
	case handover.Note:
		return "Note: " + string(effect.Why)
	}
	return fmt.Sprintf("%#v", effect)
}

// describeEpisode shows an episode that ended.
func describeEpisode(ep handover.Episode) string {
	parts := []string{fmt.Sprintf("EndEpisode %d: %s → %s", ep.Number, ep.Cause, ep.Ended)}
	if ep.Target != "" {
		parts = append(parts, "to "+ep.Target)
	}
	for _, moment := range []struct {
		name string
		at   time.Time
	}{
		{"asked", ep.Asked},
		{"passed", ep.Passed},
		{"first reply", ep.FirstReply},
		{"last agent", ep.LastAgent},
		{"last customer", ep.LastCustomer},
		{"solved", ep.Solved},
		{"closed", ep.Closed},
	} {
		if !moment.at.IsZero() {
			parts = append(parts, moment.name+" "+describeTime(moment.at))
		}
	}
	if ep.Reopened > 0 {
		parts = append(parts, fmt.Sprintf("reopened %d", ep.Reopened))
	}
	return strings.Join(parts, ", ")
}

func describeTime(t time.Time) string {
	text := strings.TrimSuffix(t.Format("15:04:05.999"), ":00")
	if days := int(t.Sub(firstDay) / (24 * time.Hour)); days != 0 {
		text = fmt.Sprintf("+%dd %s", days, text)
	}
	return text
}

// describeAct shows what a customer did.
func describeAct(e handover.CustomerActed) string {
	words := []string{"customer"}
	for name, act := range acts {
		if act == e.Act {
			words = append(words, name)
		}
	}
	if e.Payload != "" {
		words = append(words, e.Payload)
	}
	if e.Text != "" {
		words = append(words, `"`+e.Text+`"`)
	}
	return strings.Join(words, " ")
}
