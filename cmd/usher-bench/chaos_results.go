package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"usher/cmd/usher-bench/check"
)

// chaosResults is what a run came to.
type chaosResults struct {
	check.Verdict

	Seed           uint64         `json:"seed"`
	Usher          string         `json:"usher"`      // its version
	Server         string         `json:"server"`     // name and version of Redis
	Redis          string         `json:"redis"`      // how it was set up
	Durability     string         `json:"durability"` // as in usher.yaml
	Replicas       int            `json:"replicas"`
	Customers      int            `json:"customers"`     // who talked at a time
	Lease          float64        `json:"lease_seconds"` // of a partition
	Failpoints     bool           `json:"failpoints"`
	Seconds        float64        `json:"seconds"`         // of the whole run
	Talked         float64        `json:"seconds_talked"`  // of which people talked
	Drained        float64        `json:"seconds_drained"` // and of which the rest was worked off
	People         int64          `json:"people"`
	Acts           int64          `json:"acts"`
	Faults         map[string]int `json:"faults"`
	Struck         []struck       `json:"struck"`     // in the order of their ends
	Deliveries     int            `json:"deliveries"` // of webhooks that were answered with 200
	Refusals       int            `json:"refusals"`   // of webhooks, by replicas that were there
	SlowestRefusal float64        `json:"slowest_refusal_seconds"`
	AckCalm        latency        `json:"ack_calm_ms"` // from a delivery to its 200
	AckUnderFault  latency        `json:"ack_under_fault_ms"`
	Takeovers      int64          `json:"takeovers"` // of partitions whose owner was gone
	Takeover       latency        `json:"takeover_ms"`
	Moves          int64          `json:"moves"` // of partitions whose owner gave them back
	Move           latency        `json:"move_ms"`
	Stops          int            `json:"stops"` // by SIGTERM
	SlowestStop    float64        `json:"slowest_stop_seconds"`
	Probes         int            `json:"probes"` // commits with an outdated token
	Opened         int            `json:"probes_accepted"`
	Reloaded       int            `json:"reloaded"`      // partitions found at another step
	MemoryBefore   int64          `json:"memory_before"` // of Redis, in bytes
	MemoryAfter    int64          `json:"memory_after"`
	Warnings       map[string]int `json:"warnings"` // what replicas logged
	// Evidence are the threads in which a guarantee was seen to be broken.
	Evidence []check.Thread `json:"evidence,omitempty"`
}

// write writes the tables for people: the run, its faults, what came of it, and the
// verdict.
func (r *chaosResults) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) // Flush reports it
	}
	f := r.Figures
	row("run", "seed %d; Usher %s, %d replicas, lease %g s; %s, %s, durability %s", r.Seed, r.Usher, r.Replicas, r.Lease, r.Server, r.Redis, r.Durability)
	row("time", "%.0f s in all, of which people talked for %.0f s, and what was left took %.1f s", r.Seconds, r.Talked, r.Drained)
	row("people", "%d customers, %d at a time; %d acts, %d handoffs, %d ways back", r.People, r.Customers, r.Acts, f.Handoffs, f.Ends)
	row("faults", "%d, see below", r.faults())
	row("events", "%d injected, %d acknowledged (%.0f a second), %d of them more than once", f.Events, f.Acknowledged, float64(f.Acknowledged)/r.Talked, f.Repeated)
	row("deliveries", "%d acknowledged, %d refused, the slowest of these after %.2f s", r.Deliveries, r.Refusals, r.SlowestRefusal)
	row("lost", "%d", f.Lost)
	row("decided twice", "%d", f.DecidedTwice)
	row("out of order", "%d", f.OutOfOrder)
	row("wrong-owner sends", "%d known to be; %d more raced with an agent and were refused by Meta", f.WrongOwner, f.RefusedSends-f.WrongOwner)
	row("messages", "%d sent, %d dropped and reported", f.Sends, f.Dropped)
	row("duplicate sends", "%d begun after the first one's echo had come, %d under way when it came; %d whose echo came later, %d whose echo Meta lost",
		f.Unexplained, f.Raced, f.EchoLate, f.EchoLost)
	if r.Redis == redisSentinel {
		row("forgotten", "%d messages were sent whose decision a failover lost", f.Forgotten)
	}
	row("zombies refused", "%d partitions noticed as lost to others, %d loaded anew; %d of %d commits with an old token refused",
		f.ZombiesRefused, r.Reloaded, r.refusedProbes(), r.Probes)
	row("not judged", "%d threads with a cut history, %d acts with no single right answer", f.CutHistories, f.UnclearWants)
	row("take-over", "%s, %d partitions, from the last renewal by an owner that was gone", r.Takeover, r.Takeovers)
	row("move", "%s, %d partitions, from their owner's release, seen every 20 ms", r.Move, r.Moves)
	row("ack, calm", "%s, at full load", r.AckCalm)
	row("ack, under faults", "%s", r.AckUnderFault)
	row("SIGTERM", "%d ends, the slowest in %.1f s", r.Stops, r.SlowestStop)
	row("Redis memory", "%.1f MB before, %.1f MB after", float64(r.MemoryBefore)/1e6, float64(r.MemoryAfter)/1e6)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if err := r.writeFaults(w); err != nil {
		return err
	}
	return r.WriteTable(w)
}

// String writes l for people.
func (l latency) String() string {
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, max %.1f ms", l.P50, l.P99, l.Max)
}

// writeFaults writes how often each kind of fault came, in three columns.
func (r *chaosResults) writeFaults(w io.Writer) error {
	const columns = 3
	kinds := slices.Sorted(maps.Keys(r.Faults))
	if len(kinds) == 0 {
		return nil
	}
	rows := (len(kinds) + columns - 1) / columns
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, strings.Repeat("TIMES\tFAULT\t", columns)) // Flush reports it
	for i := range rows {
		var cells []string
		for n := i; n < len(kinds); n += rows {
			cells = append(cells, strconv.Itoa(r.Faults[kinds[n]]), kinds[n])
		}
		_, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) // likewise
	}
	_, _ = fmt.Fprintln(t) // likewise
	return t.Flush()
}

// faults counts them.
func (r *chaosResults) faults() (n int) {
	for _, times := range r.Faults {
		n += times
	}
	return n
}

// refusedProbes is how many commits with an outdated token changed nothing.
func (r *chaosResults) refusedProbes() int { return r.Probes - r.Opened }
