package engine

import (
	"cmp"
	"context"
	"errors"
	"runtime/debug"

	"usher/handover"
	"usher/messenger/graph"
)

// survive makes an attempt. Where it panics, the effect is poison, and must not
// end one process after the other.
func (s *sender) survive(ctx context.Context) (r result) {
	defer func() {
		if cause := recover(); cause != nil {
			s.e.Log.Error().EmbedObject(s.e.named(s.th.key)).Str("call", string(s.f.Call)).Str("cause", panicked(cause)).Bytes("stack", debug.Stack()).
				Msg("Call panicked; it is set aside in the dlq")
			r = result{poison: true, end: ended, outcome: handover.Failed, err: errors.New(panicked(cause))} //nolint:err113 // it goes to the dlq as text
		}
	}()
	switch {
	case s.lane == nil:
		return result{end: ended, outcome: handover.Failed, err: errNoPage}
	case s.f.Gen < s.th.gen.Load() && s.f.Call != callReadProfile:
		return result{end: outdated}
	}
	return s.send(ctx)
}

var (
	// errNoPage reports an effect of a Page that is not configured any more.
	errNoPage = errors.New("the Page is not among messenger.pages")
	// errUntrusted reports that a call might outlive the lease.
	errUntrusted = errors.New("the lease might end before the call")
)

func (s *sender) send(ctx context.Context) result {
	switch s.f.Call {
	case callSaid, callSay:
		return s.classify(s.say(ctx, nil))
	case callSayAndPass:
		return s.sayAndPass(ctx)
	case callPass:
		return s.pass(ctx)
	case callTake:
		return s.take(ctx)
	case callRelease:
		return s.classify(s.call(ctx, "release", func(ctx context.Context) error { return s.lane.calls.Release(ctx, s.psid) }))
	case callReadOwner:
		owner, err := s.owner(ctx)
		r := s.classify(err)
		r.holder = s.holder(owner)
		return r
	case callReadProfile:
		return s.readProfile(ctx)
	}
	return result{end: ended, outcome: handover.Failed, err: errors.New("unknown call " + string(s.f.Call))} //nolint:err113 // stored by a newer version
}

// call makes one call while the lease outlives it for sure.
func (s *sender) call(ctx context.Context, what string, do func(context.Context) error) error {
	return s.made(ctx, what, false, do)
}

// made makes a call and lets the Page's lane know how it ended; words tells that it
// puts some into the thread.
func (s *sender) made(ctx context.Context, what string, words bool, do func(context.Context) error) error {
	timed := s.e.limit.begin(ctx)
	if !s.p.trusted() { // asked after the timeout began: a freeze in between must not lengthen it
		return errUntrusted
	}
	begun := s.e.Now()
	err := do(timed)
	if s.e.Trace != nil && s.f.Trace != "" {
		s.e.Trace(Span{
			Trace: s.f.Trace, Name: "graph " + what, Thread: Alias(s.e.App, s.th.key), Begin: begun, End: s.e.Now(),
			Call: string(s.f.Call), Effect: s.f.ID, Attempt: s.f.Attempts + 1, Err: err,
		})
	}
	_, answered := errors.AsType[*graph.Error](err)
	switch {
	case ctx.Err() != nil, s.itsOwn(err): // which says nothing of the others
	case err == nil, answered, errors.Is(err, context.DeadlineExceeded):
		s.publish(ctx, s.lane.saw(err, words, s.trial))
	}
	return err
}

// publish lets the other processes know of a pause.
func (s *sender) publish(ctx context.Context, p handover.Pause) {
	if p.Left <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.e.Renew)
	defer cancel()
	if err := s.e.store.Pause(ctx, s.lane.page, p.Left, p.Why); err != nil {
		s.e.Log.Warn().Err(err).Str("page", string(s.lane.page)).Msg("Pause not stored; the other processes will hear of it from Meta")
	}
}

// held tells whether a call is refused with all others of its Page.
func (s *sender) held(err error) bool { return judge(err).state >= Limited && !s.itsOwn(err) }

// itsOwn tells whether what a call is refused for is no trouble of the Page: it was
// refused before, and others have been taken since. Without this, one customer of
// whom Meta takes no messages would stop the Page again and again.
func (s *sender) itsOwn(err error) bool {
	t := judge(err)
	return s.f.refused && !s.trial && (t.state == Limited || t.state == Suspended && !errors.Is(err, graph.ErrTokenDead))
}

// say sends the effect's message.
func (s *sender) say(ctx context.Context, control *graph.Control) error {
	m := *s.f.Message
	m.Control = control
	return s.made(ctx, "send", true, func(ctx context.Context) error {
		var err error
		s.sent, err = s.lane.calls.Send(ctx, s.psid, m)
		return err
	})
}

// sayAndPass says and passes in one call. Where an earlier attempt may have
// reached Meta, thread_owner tells; what was echoed is not said again. Control goes
// with the words: where the target has none although they came, an agent may have
// given it back already, and what tells of that is waited for once.
func (s *sender) sayAndPass(ctx context.Context) result {
	if s.f.Unsure || s.f.Echoed {
		owner, err := s.owner(ctx)
		switch {
		case err != nil:
			return s.classify(err)
		case owner.App == s.f.Target:
			return result{end: ended, outcome: handover.OK}
		case s.f.Echoed && s.f.Attempts == 0:
			return result{end: unsure}
		case s.f.Echoed:
			return s.passed(ctx, s.passControl(ctx))
		}
	}
	return s.passed(ctx, s.say(ctx, &graph.Control{Pass: s.f.Target}))
}

// pass passes control without a word.
func (s *sender) pass(ctx context.Context) result {
	if s.f.Unsure {
		if owner, err := s.owner(ctx); err == nil && owner.App == s.f.Target {
			return result{end: ended, outcome: handover.OK}
		}
	}
	return s.passed(ctx, s.passControl(ctx))
}

func (s *sender) passControl(ctx context.Context) error {
	return s.call(ctx, "pass", func(ctx context.Context) error {
		return s.lane.calls.Pass(ctx, s.psid, s.f.Target, metadataPrefix+string(s.f.Cause))
	})
}

// passed classifies the end of a pass: who is refused because the target has
// control already has succeeded.
func (s *sender) passed(ctx context.Context, err error) result {
	if errors.Is(err, graph.ErrNotOwner) && (s.f.Attempts > 0 || s.f.Call == callPass || s.f.Echoed) {
		if owner, oerr := s.owner(ctx); oerr == nil && owner.App == s.f.Target {
			return result{end: ended, outcome: handover.OK}
		}
	}
	return s.classify(err)
}

// take takes control. Whatever it is refused for but the permission, it has
// succeeded where control is ours or nobody's.
func (s *sender) take(ctx context.Context) result {
	err := s.call(ctx, "take", func(ctx context.Context) error {
		return s.lane.calls.Take(ctx, s.psid, metadataPrefix+string(s.f.Cause))
	})
	if err == nil || errors.Is(err, graph.ErrTakeRefused) || errors.Is(err, errUntrusted) {
		return s.classify(err)
	}
	r := s.classify(err)
	if r.end == patient {
		return r
	}
	switch owner, oerr := s.owner(ctx); {
	case oerr != nil && r.end == ended: // the refusal may be that of a take that has succeeded
		if unknown := s.classify(oerr); unknown.end != ended {
			return unknown
		}
	case oerr != nil:
	case s.holder(owner) != handover.HeldByOther:
		return result{end: ended, outcome: handover.OK}
	case r.end == ended:
		r.outcome = handover.NotOwner
	}
	return r
}

func (s *sender) owner(ctx context.Context) (graph.Owner, error) {
	var owner graph.Owner
	err := s.call(ctx, "owner", func(ctx context.Context) (err error) {
		owner, err = s.lane.calls.Owner(ctx, s.psid)
		return err
	})
	return owner, err
}

func (s *sender) holder(o graph.Owner) handover.Holder {
	switch {
	case o.Idle:
		return handover.HeldByNobody
	case o.App == s.e.App:
		return handover.HeldByUs
	}
	return handover.HeldByOther
}

// readProfile reads what the script needs of the customer. Without permission,
// or for want of an answer, it goes on without: a name is not worth a wait.
func (s *sender) readProfile(ctx context.Context) result {
	var p graph.Profile
	err := s.call(ctx, "profile", func(ctx context.Context) (err error) {
		p, err = s.lane.calls.Profile(ctx, s.psid)
		return err
	})
	if errors.Is(err, errUntrusted) {
		return result{end: untrusted}
	}
	return result{end: ended, outcome: handover.OK, profile: &profile{FirstName: p.FirstName, Locale: p.Locale}, err: err}
}

// classify says what an error of Graph means for the effect.
func (s *sender) classify(err error) result {
	r := result{end: ended, err: err}
	if ge, ok := errors.AsType[*graph.Error](err); ok {
		r.after = ge.RetryAfter
	}
	switch {
	case err == nil:
		r.outcome = handover.OK
	case errors.Is(err, errUntrusted):
		r.end = untrusted
	case errors.Is(err, graph.ErrUnknownOutcome):
		r.end = unsure
	case s.held(err):
		r.end, r.after = patient, 0 // its Page's lane holds it
	case errors.Is(err, graph.ErrRateLimited):
		r.end, r.after = patient, cmp.Or(r.after, pauseOf(Limited, 0))
	case errors.Is(err, graph.ErrNotOwner):
		r.outcome = handover.NotOwner
	case errors.Is(err, graph.ErrTakeRefused):
		r.outcome = handover.Refused
	case errors.Is(err, graph.ErrOutsideWindow):
		r.outcome = handover.OutsideWindow
	case errors.Is(err, graph.ErrBlocked), errors.Is(err, graph.ErrNoSuchPerson):
		r.outcome = handover.Unreachable
	case errors.Is(err, graph.ErrBadParameter):
		r.outcome = handover.BadParameter
	case errors.Is(err, graph.ErrTransient), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		r.end = retry
	default: // a permission, a restriction, what nobody knows: trying again does not help
		r.outcome = handover.Failed
		s.e.Log.Error().EmbedObject(s.e.named(s.th.key)).Err(err).Str("call", string(s.f.Call)).Msg("Graph refuses the call")
	}
	return r
}
