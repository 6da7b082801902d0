package engine

import (
	"slices"

	"usher/bot"
	"usher/handover"
	"usher/messenger"
)

// translate is the only place where an event of Messenger becomes an event of
// the handover; ok is false for one that concerns nobody's control.
func (e *Engine) translate(ev messenger.Event) (out handover.Event, ok bool) {
	switch ev.Kind {
	case messenger.KindMessage:
		act := handover.ActText
		if ev.Text == "" {
			act = handover.ActMedia
		}
		return customer(act, ev), true
	case messenger.KindQuickReply:
		return customer(handover.ActQuickReply, ev), true
	case messenger.KindPostback:
		return customer(handover.ActPostback, ev), true
	case messenger.KindReferral, messenger.KindOptin:
		return customer(handover.ActReferral, ev), true
	case messenger.KindEcho:
		switch {
		case e.ours(ev):
			return handover.OwnEcho{}, true
		case ev.AIGenerated, slices.Contains(e.IgnoreApps, ev.App) && ev.App != "":
			return nil, false // automation beside us: it does not mute the bot
		}
		return handover.AgentSpoke{At: ev.At, Found: ev.Backfilled}, true
	case messenger.KindPass:
		// Control passed to nobody leaves the thread to the default app: us.
		us := ev.NewOwner == e.App || ev.NewOwner == ""
		return handover.ControlPassed{ToUs: us, To: string(ev.NewOwner), At: ev.At}, true
	case messenger.KindTake:
		return handover.ControlTaken{ByUs: ev.NewOwner == e.App, At: ev.At}, true
	case messenger.KindRequest:
		return handover.ControlRequested{By: string(ev.App), At: ev.At}, true
	case messenger.KindAppRoles, messenger.KindRead, messenger.KindDelivery, messenger.KindReaction,
		messenger.KindAccountLinking, messenger.KindPolicy, messenger.KindEdit, messenger.KindFeedback,
		messenger.KindUnknown:
	}
	return nil, false
}

func customer(act handover.Act, ev messenger.Event) handover.CustomerActed {
	return handover.CustomerActed{
		Act: act, Text: bot.Key(ev.Text), Payload: ev.Payload, Standby: ev.Standby, At: ev.At,
	}
}

// ours tells whether an echo is of our own words: our app sent it, or it carries
// an effect of ours where Meta does not say which app sent it.
func (e *Engine) ours(ev messenger.Event) bool {
	return ev.App == e.App || (ev.App == "" && effectOf(ev.Metadata) != "")
}
