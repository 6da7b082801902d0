package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// What befalls a Redis of ours.

// restart ends a server by a signal; the server comes back after a while, with its file.
func (r *redisRig) restart(ctx context.Context, n *redisNode, sig syscall.Signal, after time.Duration) error {
	if err := n.end(sig, endWithin); err != nil {
		return err
	}
	pause(ctx, after)
	return errors.Join(r.launch(ctx, n), r.whole(ctx))
}

// fillDisk fills a server's disk for a while. One that syncs each write ends then, and
// comes back when there is room.
func (r *redisRig) fillDisk(ctx context.Context, n *redisNode, d time.Duration) error {
	if err := n.fillDisk(true); err != nil {
		return err
	}
	pause(ctx, d)
	err := n.fillDisk(false)
	ctx = context.WithoutCancel(ctx)
	room := await(ctx, n.name+" has room", func() bool {
		info, err := n.direct.Info(ctx, "persistence").Result()
		return !n.running() || err == nil && strings.Contains(info, "aof_last_write_status:ok")
	})
	if !n.running() {
		room = r.launch(ctx, n)
	}
	return errors.Join(err, room, r.whole(ctx))
}

// all does something to every node of data.
func (r *redisRig) all(ctx context.Context, do func(*redisNode) error) error {
	var errs []error
	for _, n := range r.nodes {
		var err error
		if late := await(ctx, n.name+" has loaded its data", func() bool { // a replica that follows a new primary does
			err = do(n)
			return err == nil || !redis.HasErrorPrefix(err, "LOADING")
		}); late != nil {
			err = late
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// killPrimary is kill -9 of the primary; it comes back, as a replica, once
// sentinels have put another one in its place.
func (r *redisRig) killPrimary(ctx context.Context, after time.Duration) error {
	old, before := r.primary(ctx), r.epoch(ctx)
	if err := old.kill(); err != nil {
		return err
	}
	err := await(ctx, "sentinels have a new primary", func() bool { return r.epoch(ctx) > before })
	pause(ctx, after)
	return errors.Join(err, r.rejoin(context.WithoutCancel(ctx), old), r.whole(ctx))
}

// rejoin starts a server that has ended as a replica of the primary.
func (r *redisRig) rejoin(ctx context.Context, n *redisNode) error {
	return r.launch(ctx, n, "--replicaof", "127.0.0.1", r.primary(ctx).announced())
}

// replica returns one of the nodes that are not the primary.
func (r *redisRig) replica(ctx context.Context, which int) *redisNode {
	primary := r.primary(ctx)
	others := slices.DeleteFunc(slices.Clone(r.nodes), func(n *redisNode) bool { return n == primary })
	return others[which%len(others)]
}

// killUnconfirmed kills the primary when its replicas have heard nothing for a while:
// what it alone has is lost with it.
func (r *redisRig) killUnconfirmed(ctx context.Context, lag time.Duration) error {
	old, before := r.primary(ctx), r.epoch(ctx)
	old.proxy.set(trouble{apart: true})
	pause(ctx, lag)
	err := old.kill()
	old.proxy.cut() // what is on its way does not arrive
	old.proxy.set(trouble{})
	if err != nil {
		return err
	}
	err = await(ctx, "sentinels have a new primary", func() bool { return r.epoch(ctx) > before })
	return errors.Join(err, r.rejoin(context.WithoutCancel(ctx), old), r.whole(ctx))
}

// failover asks sentinels for another primary. They give it up where no replica suits
// them at the moment, and are asked again.
func (r *redisRig) failover(ctx context.Context) error {
	before, asked := r.epoch(ctx), time.Time{}
	err := await(ctx, "sentinels have a new primary", func() bool {
		if r.epoch(ctx) > before {
			return true
		}
		if now().Sub(asked) > time.Second && r.sentinels[0].direct.Do(ctx, "SENTINEL", "FAILOVER", redisMaster).Err() == nil {
			asked = now() // else one is under way
		}
		return false
	})
	return errors.Join(err, r.whole(ctx))
}

// whole waits until all that a fault took away is back. The primary of sentinels has
// both replicas then: two losses at a time are more than Usher promises to survive. A
// cluster serves again: all of it refuses what it is asked while a node is taken to
// have failed, and one that was away for longer than cluster-node-timeout is for twice
// as long after it has come back.
//
// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#failure-detection
func (r *redisRig) whole(ctx context.Context) error {
	switch r.mode {
	case redisSentinel:
		return await(ctx, "two replicas follow", func() bool { return r.followed(ctx) })
	case redisCluster:
		return await(ctx, "the cluster is whole", func() bool {
			return !slices.ContainsFunc(r.nodes, func(n *redisNode) bool {
				info, err := n.direct.ClusterInfo(ctx).Result()
				return err != nil || !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3")
			})
		})
	}
	return nil
}

// followed tells whether both replicas under sentinels follow the primary.
func (r *redisRig) followed(ctx context.Context) bool {
	info, err := r.primary(ctx).direct.Info(ctx, "replication").Result()
	return err == nil && strings.Contains(info, "role:master") && strings.Count(info, "state=online") == 2
}
