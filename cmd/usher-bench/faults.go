package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"usher/cmd/usher-bench/check"
	"usher/handover"
	"usher/messenger/simulator"
	"usher/messenger/webhook"
)

// saboteur carries out faults.
type saboteur struct {
	*stage

	fleetSize int
	away      chan struct{} // a place for each replica that may be away at a time
	replicas  []sync.Mutex  // each has one fault at a time
	redisBusy sync.Mutex
	metaBusy  map[string]*sync.Mutex // by kind

	mu         sync.Mutex
	counts     map[string]int
	active     int       // faults under way
	redisWrong bool      // one of Redis is
	redisSound time.Time // or was, until then
	excused    []check.Span
	without    []check.Span // Redis
	struck     []struck     // as they ended
	failed     []check.Span // failovers
	ended      time.Time    // when the replicas were told to stop
	bad        int          // events that must be set aside
	probes     int
	opened     int // and probes that changed something
}

// struck is a fault that was.
type struck struct {
	Kind  string    `json:"kind"`
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
}

// redisPatience is how long Usher waits for an answer of Redis.
const redisPatience = 3 * time.Second

func newSaboteur(s *stage, replicas int) *saboteur {
	return &saboteur{
		stage: s, fleetSize: replicas, away: make(chan struct{}, max(replicas-1, 1)), replicas: make([]sync.Mutex, replicas),
		metaBusy: map[string]*sync.Mutex{"graph slow": {}, "echoes lost": {}, "webhooks doubled": {}, "webhooks shuffled": {}, "webhooks in a burst": {}, "webhooks to two at once": {}},
		counts:   map[string]int{},
	}
}

// commit does what a fault says, and returns when it is over. An end of ctx ends
// it sooner.
func (s *saboteur) commit(ctx context.Context, f fault) error {
	s.begins()
	began := now()
	var err error
	ofRedis := false
	excuse := time.Duration(0) // how long it is felt after its end
	switch f.Kind {
	case "rolling restart":
		for n := range s.fleetSize {
			_, restartErr := s.hitReplica(ctx, fault{Kind: "replica stopped", Target: n})
			err = errors.Join(err, restartErr)
		}
		excuse = s.times.Lease
	case "graph throttles", "graph fails", "graph loses answers", "graph hangs after success", "graph cut":
		s.hitGraph(f)
	case "graph slow", "echoes lost", "webhooks doubled", "webhooks shuffled", "webhooks in a burst", "webhooks to two at once":
		s.hitMeta(ctx, f)
	default:
		if strings.HasPrefix(f.Kind, "replica ") {
			f.Kind, err = s.hitReplica(ctx, f)
			excuse = s.times.Lease + 2*s.renew
			break
		}
		s.redisBusy.Lock()
		began = now()
		s.redisTrouble(true)
		ofRedis = true
		err, excuse = s.hitRedis(ctx, f), s.redisExcuse()
		if f.Kind == repliesSwallowed {
			excuse += redisPatience
		}
		s.redisTrouble(false)
		s.redisBusy.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	s.counts[f.Kind]++
	s.struck = append(s.struck, struck{f.Kind, began, now()})
	if ofRedis {
		s.without = append(s.without, check.Span{From: began, To: now()})
	}
	if excuse > 0 {
		s.excused = append(s.excused, check.Span{From: began, To: now().Add(excuse)})
	}
	if f.Kind == "failover" || f.Kind == "primary killed" || f.Kind == primaryLost {
		s.failed = append(s.failed, check.Span{From: began, To: now()})
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", f.Kind, err)
	}
	return nil
}

func (s *saboteur) begins() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active++
}

// troubled tells whether a fault is under way.
func (s *saboteur) troubled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active > 0
}

func (s *saboteur) redisTrouble(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redisWrong, s.redisSound = on, now()
}

// redisFine tells whether nothing was wrong with Redis since then.
func (s *saboteur) redisFine(since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.redisWrong && s.redisSound.Before(since)
}

// hitReplica returns what it came to: not every place to be killed at is reached.
func (s *saboteur) hitReplica(ctx context.Context, f fault) (kind string, err error) {
	n := f.Target % s.fleetSize
	s.replicas[n].Lock()
	defer s.replicas[n].Unlock()
	s.away <- struct{}{}
	defer func() { <-s.away }()
	r := s.fleet.replica(n)
	switch place, at := strings.CutPrefix(f.Kind, killedAt); {
	case at:
		if err = r.arm(ctx, place); errors.Is(err, errNotReached) {
			f.Kind, err = "replica killed", r.kill()
		}
		pause(ctx, f.For)
	case f.Kind == "replica killed":
		s.answerLate()
		pause(ctx, lateAnswer/2)
		err = r.kill()
		pause(ctx, f.For)
	case f.Kind == "replica stopped":
		err = s.fleet.stop(r, 2*s.times.StopTimeout)
		pause(ctx, f.For)
	default:
		err = s.fleet.freeze(r)
		pause(ctx, f.For)
		err = errors.Join(err, s.fleet.thaw(r))
	}
	return f.Kind, errors.Join(err, s.fleet.ensure(ctx, n))
}

// lateAnswer is how long Graph keeps an answer back, see answerLate.
const lateAnswer = 100 * time.Millisecond

// answerLate lets Graph keep back the answers to messages that it has sent, so that
// a kill finds some of which nobody knows what became.
func (s *saboteur) answerLate() {
	s.meta.FailNext(simulator.EdgeMessages, simulator.Failure{
		After: true, Status: http.StatusOK, Body: `{"recipient_id": "7", "message_id": "m_late"}`, Delay: lateAnswer, For: lateAnswer,
	})
}

// hitGraph lets calls go wrong: for a while, since Usher makes fewer and fewer when
// they do.
func (s *saboteur) hitGraph(f fault) {
	wrong := simulator.Failure{For: f.For, Chance: float64(f.Size) / 100}
	switch f.Kind {
	case "graph throttles":
		// Meta tells a spent allowance in minutes, and Usher believes it: half a run
		// would be one pause. Here it tells that nothing is spent.
		wrong.Code, wrong.Header = 613, http.Header{"Retry-After": {"1"}, "X-Business-Use-Case-Usage": {"{}"}, "X-App-Usage": {"{}"}}
	case "graph fails":
		wrong.Status, wrong.Code = http.StatusInternalServerError, 2
	case "graph loses answers":
		wrong.After = true
	case "graph hangs after success":
		wrong.After, wrong.Delay = true, s.times.CallTimeout+s.times.CallTimeout/2
	case "graph cut":
		s.graph.cut()
		return
	}
	s.meta.FailNext("", wrong)
}

// hitMeta changes how Meta behaves, for a while.
func (s *saboteur) hitMeta(ctx context.Context, f fault) {
	busy := s.metaBusy[f.Kind]
	busy.Lock()
	defer busy.Unlock()
	switch f.Kind {
	case "graph slow":
		s.meta.Latency(func(edge string) time.Duration {
			if edge == simulator.EdgeWebhook {
				return 0
			}
			return time.Duration(f.Size) * time.Millisecond
		})
		pause(ctx, f.For)
		s.meta.Latency(nil)
	case "echoes lost":
		s.meta.DropEchoes(float64(f.Size) / 100)
		pause(ctx, f.For)
		s.meta.DropEchoes(0)
	case "webhooks doubled":
		s.meta.DuplicateDeliveries(f.Size)
		pause(ctx, f.For)
		s.meta.DuplicateDeliveries(0)
	case "webhooks shuffled":
		s.witness.shuffling(true)
		s.meta.HoldDeliveries() // something must wait to be shuffled
		s.meta.Reorder(true)
		pause(ctx, f.For)
		s.meta.ReleaseDeliveries(0)
		pause(ctx, f.For)
		s.meta.Reorder(false)
		s.witness.shuffling(false)
	case "webhooks to two at once":
		s.fleet.twice.Store(true)
		pause(ctx, f.For)
		s.fleet.twice.Store(false)
	case "webhooks in a burst":
		s.meta.HoldDeliveries()
		pause(ctx, f.For)
		s.meta.ReleaseDeliveries(0)
	}
}

func (s *saboteur) hitRedis(ctx context.Context, f fault) error {
	node := s.redis.nodes[f.Target%len(s.redis.nodes)]
	lasting := func(t trouble) error {
		node.proxy.set(t)
		pause(ctx, f.For)
		node.proxy.set(trouble{})
		return s.redis.whole(ctx)
	}
	switch f.Kind {
	case "redis slow":
		return lasting(trouble{latency: time.Duration(f.Size) * time.Millisecond})
	case "redis unreachable":
		return lasting(trouble{refuse: true})
	case repliesSwallowed:
		return lasting(trouble{swallow: true})
	case "redis stalled":
		return lasting(trouble{stall: true})
	case "redis cut":
		node.proxy.cut()
		return s.redis.whole(ctx)
	case "redis killed":
		return s.redis.restart(ctx, node, syscall.SIGKILL, f.For)
	case "redis restarted":
		return s.redis.restart(ctx, node, syscall.SIGTERM, f.For)
	case "redis disk full":
		return s.redis.fillDisk(ctx, node, f.For)
	case "slots moved":
		return s.redis.moveSlots(ctx, f.Target, f.Size)
	case "redis forgets scripts":
		return s.redis.all(ctx, func(n *redisNode) error { return n.direct.ScriptFlush(ctx).Err() })
	case "redis out of memory":
		err := s.redis.all(ctx, func(n *redisNode) error { return n.direct.ConfigSet(ctx, "maxmemory", "1mb").Err() })
		pause(ctx, f.For)
		free := context.WithoutCancel(ctx)
		return errors.Join(err, s.redis.all(free, func(n *redisNode) error { return n.direct.ConfigSet(free, "maxmemory", "0").Err() }))
	}
	return s.hitReplicated(ctx, f)
}

// hitReplicated hits a primary with replicas.
func (s *saboteur) hitReplicated(ctx context.Context, f fault) error {
	switch f.Kind {
	case "primary killed":
		return s.redis.killPrimary(ctx, f.For)
	case primaryLost:
		return s.redis.killUnconfirmed(ctx, f.For)
	case "failover":
		return s.redis.failover(ctx)
	case "redis replica frozen":
		frozen := s.redis.replica(ctx, f.Target)
		err := frozen.signal(syscall.SIGSTOP)
		pause(ctx, f.For)
		return errors.Join(err, frozen.signal(syscall.SIGCONT), s.redis.whole(ctx))
	case "redis replica restarted":
		node := s.redis.replica(ctx, f.Target)
		if err := node.end(syscall.SIGTERM, endWithin); err != nil {
			return err
		}
		pause(ctx, f.For)
		return errors.Join(s.redis.rejoin(context.WithoutCancel(ctx), node), s.redis.whole(ctx))
	}
	return fmt.Errorf("%w %q", errKind, f.Kind)
}

// watchPrimary notes each change of the primary, also one that nobody asked for,
// until ctx ends: sentinels may think it down when the machine is busy. The new one
// takes no writes before its replicas follow it.
func (s *saboteur) watchPrimary(ctx context.Context) {
	// How long before it is seen a failover may have begun, and last after it.
	const before, after = 5 * time.Second, time.Second
	if s.redis.mode != redisSentinel {
		return
	}
	var since time.Time // when one may have begun that nobody asked for; zero where that is over
	for last := s.redis.primary(ctx); pause(ctx, 100*time.Millisecond); {
		if is := s.redis.primary(ctx); is != last && ctx.Err() == nil {
			s.mu.Lock()
			s.failed = append(s.failed, check.Span{From: now().Add(-before), To: now().Add(after)})
			ours := s.redisWrong
			s.mu.Unlock()
			last = is
			if !ours && since.IsZero() {
				since = now().Add(-before)
			}
		}
		if !since.IsZero() && s.redis.followed(ctx) {
			s.withoutRedis(since)
			since = time.Time{}
		}
	}
	if !since.IsZero() {
		s.withoutRedis(since)
	}
}

// withoutRedis notes that Redis was not whole since then, by no fault of ours.
func (s *saboteur) withoutRedis(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.without = append(s.without, check.Span{From: since, To: now()})
	s.excused = append(s.excused, check.Span{From: since, To: now().Add(s.redisExcuse())})
}

// redisExcuse is how long a fault of Redis is felt after its end.
func (s *saboteur) redisExcuse() time.Duration { return s.times.Lease + time.Second }

var errKind = errors.New("unknown kind of fault")

// offerBadEvent delivers an event that must be set aside: of a Page that Usher
// does not answer for. It is repeated until it is acknowledged, or ctx ends.
func (s *saboteur) offerBadEvent(ctx context.Context) {
	s.mu.Lock()
	s.bad++
	n := s.bad
	s.mu.Unlock()
	body := fmt.Appendf(nil, `{"object":"page","entry":[{"id":"1000000000000099","messaging":[{"sender":{"id":"8%015d"},"recipient":{"id":"1000000000000099"},"timestamp":%d,"message":{"mid":"m_bad_%d","text":"%s"}}]}]}`,
		n, now().UnixMilli(), n, customersMark)
	header := http.Header{"Content-Type": {"application/json"}, "X-Hub-Signature-256": {webhook.Sign([]byte(appSecret), body)}}
	for {
		if status, err := s.fleet.deliver(ctx, body, header); err == nil && status == http.StatusOK {
			return
		}
		if !pause(ctx, 50*time.Millisecond) {
			return
		}
	}
}

// probeFence commits to every partition with a token that is nobody's, as who
// lost it would: nothing may come of that.
func (s *saboteur) probeFence(ctx context.Context) {
	for p := range partitions {
		seq, err := s.redis.client.HGet(ctx, fmt.Sprintf("usher:{p%d}:meta", p), "seq").Int64()
		if err != nil && !errors.Is(err, redis.Nil) {
			continue // no probe without Redis
		}
		_, err = s.store.Commit(ctx, handover.Commit{Lease: handover.Lease{Partition: p, Token: "outdated", Seq: seq}})
		s.mu.Lock()
		switch {
		case errors.Is(err, handover.ErrLeaseLost):
			s.probes++
		case err == nil:
			s.probes++
			s.opened++
		}
		s.mu.Unlock()
	}
}
