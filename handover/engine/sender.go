package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"usher/handover"
	"usher/messenger"
	"usher/messenger/graph"
)

// carryOut makes one attempt at an effect and brings the result back to the
// partition's loop. It works on a copy: the loop owns the effect.
func (e *Engine) carryOut(ctx context.Context, p *partition, th *thread, f *effect, c effect) {
	r := e.survive(ctx, p, th, &c)
	r.th, r.f = th, f
	select {
	case p.results <- r:
	case <-p.ended: // the next owner settles it
	}
}

// survive makes an attempt. Where it panics, the effect is poison, and must not
// end one process after the other.
func (e *Engine) survive(ctx context.Context, p *partition, th *thread, f *effect) (r result) {
	defer func() {
		if cause := recover(); cause != nil {
			e.Log.Error().Str("thread", e.alias(th.key)).Str("edge", string(f.Call)).Interface("cause", cause).Bytes("stack", debug.Stack()).
				Msg("Call panicked; it is set aside in the dlq")
			r = result{poison: true, end: ended, outcome: handover.Failed, err: fmt.Errorf("%w: %v", errPanic, cause)}
		}
	}()
	return e.attempt(ctx, p, th, f)
}

// attempt waits for its turn among the Page's calls, looks whether the effect is
// still wanted, and makes the call.
func (e *Engine) attempt(ctx context.Context, p *partition, th *thread, f *effect) result {
	key, err := messenger.ParseThreadKey(f.Thread)
	pg := e.pages[key.Page]
	if err != nil || pg == nil {
		return result{end: ended, outcome: handover.Failed, err: errNoPage}
	}
	select {
	case pg.slots <- struct{}{}:
		defer func() { <-pg.slots }()
	case <-p.abandoned:
		return result{end: untrusted}
	case <-ctx.Done():
		return result{end: untrusted}
	}
	if f.Gen < th.gen.Load() && f.Call != callReadProfile {
		return result{end: outdated}
	}
	s := sender{e: e, p: p, graph: pg.Graph, psid: key.PSID, f: f}
	return s.send(ctx)
}

var (
	// errNoPage reports an effect of a Page that is not configured any more.
	errNoPage = errors.New("the Page is not among messenger.pages")
	// errPanic reports a call that panicked.
	errPanic = errors.New("panic")
	// errUntrusted reports that a call might outlive the lease.
	errUntrusted = errors.New("the lease might end before the call")
)

// sender makes the calls of one attempt.
type sender struct {
	e     *Engine
	p     *partition
	graph Graph
	psid  messenger.PSID
	f     *effect
}

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
		return s.classify(s.call(ctx, func(ctx context.Context) error { return s.graph.Release(ctx, s.psid) }))
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
func (s *sender) call(ctx context.Context, do func(context.Context) error) error {
	if !s.p.trusted() {
		return errUntrusted
	}
	ctx, cancel := context.WithTimeout(ctx, s.e.CallTimeout)
	defer cancel()
	return do(ctx)
}

// say sends the effect's message.
func (s *sender) say(ctx context.Context, control *graph.Control) error {
	m := *s.f.Message
	m.Control = control
	return s.call(ctx, func(ctx context.Context) error {
		_, err := s.graph.Send(ctx, s.psid, m)
		return err
	})
}

// sayAndPass says and passes in one call. Where an earlier attempt may have
// reached Meta, thread_owner tells; what was echoed is not said again.
func (s *sender) sayAndPass(ctx context.Context) result {
	if s.f.Unsure || s.f.Echoed {
		owner, err := s.owner(ctx)
		switch {
		case err != nil:
			return s.classify(err)
		case owner.App == s.f.Target:
			return result{end: ended, outcome: handover.OK}
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
	return s.call(ctx, func(ctx context.Context) error {
		return s.graph.Pass(ctx, s.psid, s.f.Target, metadataPrefix+string(s.f.Cause))
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
	err := s.call(ctx, func(ctx context.Context) error {
		return s.graph.Take(ctx, s.psid, metadataPrefix+string(s.f.Cause))
	})
	if err == nil || errors.Is(err, graph.ErrTakeRefused) || errors.Is(err, errUntrusted) {
		return s.classify(err)
	}
	r := s.classify(err)
	switch owner, oerr := s.owner(ctx); {
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
	err := s.call(ctx, func(ctx context.Context) (err error) {
		owner, err = s.graph.Owner(ctx, s.psid)
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
	err := s.call(ctx, func(ctx context.Context) (err error) {
		p, err = s.graph.Profile(ctx, s.psid)
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
	case errors.Is(err, graph.ErrRateLimited):
		r.end, r.after = patient, cmp.Or(r.after, pauseWhenLimited)
	case errors.Is(err, graph.ErrTokenDead):
		r.end, r.after = patient, pauseTokenDead
		s.e.Log.Error().Err(err).Msg("Page token is dead: put a new one into messenger.pages and start again; replies wait for a day")
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
		s.e.Log.Error().Err(err).Str("edge", string(s.f.Call)).Msg("Graph refuses the call")
	}
	return r
}
