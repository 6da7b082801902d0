package main

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"usher/handover/redisstore"
)

// A node of a cluster that was taken to have failed is back only when the cluster
// serves again, which is seconds after the node answers.
func TestARestartedClusterServes(t *testing.T) {
	if built == "" {
		t.Skip(errNoRedis)
	}
	t.Parallel()
	r, err := startRedis(t.Context(), redisCluster, t.TempDir(), fsyncs[redisstore.Standard], 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	const failed = 4 * time.Second // twice what the others wait for it
	if err := r.restart(t.Context(), r.nodes[1], syscall.SIGKILL, failed); err != nil {
		t.Fatal(err)
	}
	for _, n := range r.nodes {
		info, err := n.direct.ClusterInfo(t.Context()).Result()
		if err != nil || !strings.Contains(info, "cluster_state:ok") {
			t.Errorf("%s serves nothing: %v, %s", n.name, err, info)
		}
	}
}
