package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"usher/handover"
	"usher/handover/engine"
	"usher/messenger"
)

// threadListCommand is `usher thread list`.
func (p *program) threadListCommand(file *string) *cobra.Command {
	limit, phase := 100, ""
	c := &cobra.Command{
		Use: "list", Short: "List the threads that are remembered", Args: cobra.NoArgs,
		Long: `Lists the threads that are remembered, in no order, with who has each and why. It
looks at every key of Redis that is ours: on a large one that takes a while.`,
		Example: `  usher thread list
  usher thread list --phase waiting`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var wanted handover.Phase
			if phase != "" {
				if err := wanted.UnmarshalText([]byte(phase)); err != nil {
					return usagef("--phase: %w", err)
				}
			}
			if limit < 1 {
				return usagef("--limit is %d: want 1 or more", limit)
			}
			return p.operate(cmd.Context(), *file, func(o operator) error {
				return o.list(cmd.Context(), limit, func(ph handover.Phase) bool { return phase == "" || ph == wanted })
			})
		},
	}
	c.Flags().IntVar(&limit, "limit", limit, "at most so many")
	c.Flags().StringVar(&phase, "phase", "", "only those in this phase: bot, waiting, human or solved")
	return c
}

// scanLimit bounds how many threads are looked at for a list.
const scanLimit = 1_000_000

func (o operator) list(ctx context.Context, limit int, wanted func(handover.Phase) bool) error {
	table := tabwriter.NewWriter(o.p.stdout, 0, 8, 2, ' ', 0)
	var out io.Writer = table
	fmt.Fprintln(out, "THREAD\tALIAS\tPHASE\tSINCE\tCAUSE\tUNTIL")
	listed := 0
	err := o.store.Threads(ctx, scanLimit, func(key messenger.ThreadKey, body []byte) error {
		snap, err := engine.UnmarshalThread(body)
		if err != nil || listed >= limit || !wanted(snap.State.Phase) {
			return err
		}
		listed++
		s := snap.State
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", key, o.alias(key), s.Phase, clock(s.Since), orDash(string(s.Cause)), clock(s.Deadline))
		return nil
	})
	if err != nil {
		return err
	}
	return table.Flush()
}

func (o operator) alias(key messenger.ThreadKey) string {
	return engine.Alias(messenger.AppID(o.cfg.Messenger.AppID), key.String())
}

// threadShowCommand is `usher thread show`.
func (p *program) threadShowCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use: "show THREAD", Short: "Tell a thread's whole story, with causes", Args: cobra.ExactArgs(1),
		Long: `Tells who has a thread and why, until when, what is pending, and how it came to that:
each event, each change of hands with its cause, each call to Meta with its end.
Times are this machine's. Nobody's words are shown.`,
		Example: "  usher thread show 1000000000000001:7000000000000001",
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.operate(cmd.Context(), *file, func(o operator) error { return o.show(cmd.Context(), args[0]) })
		},
	}
}

func (o operator) show(ctx context.Context, name string) error {
	key, err := o.thread(name)
	if err != nil {
		return err
	}
	body, history, pending, buried, err := o.store.Thread(ctx, key)
	if err != nil {
		return err
	}
	if body == nil && len(history)+len(pending)+len(buried) == 0 {
		return fmt.Errorf("%s: %w", key, errNoThread)
	}
	w := o.p.stdout
	fmt.Fprintf(w, "thread    %s (in logs: %s)\n", key, o.alias(key))
	if body != nil {
		snap, err := engine.UnmarshalThread(body)
		if err != nil {
			return err
		}
		writeState(w, snap)
	}
	for _, b := range pending {
		f, err := engine.UnmarshalPending(b)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "pending   %s, decided %s, %s\n", f.Call, clock(f.Decided), attempts(f))
	}
	for _, b := range buried {
		fmt.Fprintf(w, "set aside %s: %s\n", clock(b.At), b.Cause)
	}
	fmt.Fprintln(w)
	for _, b := range history {
		l, err := engine.UnmarshalLine(b)
		if err != nil {
			return fmt.Errorf("history as stored: %w", err)
		}
		writeLine(w, l)
	}
	return nil
}

func writeState(w io.Writer, snap engine.Snapshot) {
	s := snap.State
	fmt.Fprintf(w, "now       %s", s.Phase)
	if !s.Since.IsZero() {
		fmt.Fprintf(w, " since %s (%s)", clock(s.Since), s.Cause)
	}
	if !s.Deadline.IsZero() {
		fmt.Fprintf(w, ", until %s", clock(s.Deadline))
	}
	fmt.Fprintln(w)
	switch s.Awaiting {
	case handover.AwaitingTake:
		fmt.Fprintf(w, "awaiting  control (%s)\n", s.Return)
	case handover.AwaitingOwner:
		fmt.Fprintln(w, "awaiting  Meta's word on who has control")
	case handover.AwaitingNothing:
	}
	if snap.Parked > 0 {
		fmt.Fprintf(w, "parked    %s\n", plural(snap.Parked, "event"))
	}
	if ep := s.Episode; ep != nil {
		fmt.Fprintf(w, "episode   #%d by %s, asked %s", ep.Number, ep.Cause, clock(ep.Asked))
		for _, t := range []struct {
			name string
			at   time.Time
		}{{"passed", ep.Passed}, {"first reply", ep.FirstReply}, {"last reply", ep.LastAgent}, {"done", ep.Solved}} {
			if !t.at.IsZero() {
				fmt.Fprintf(w, ", %s %s", t.name, clock(t.at))
			}
		}
		fmt.Fprintln(w)
	}
}

func attempts(f engine.Pending) string {
	switch {
	case f.Attempts == 0:
		return "not tried yet"
	case f.Unsure:
		return plural(f.Attempts, "attempt") + ", waiting for an echo until " + clock(f.NotBefore)
	}
	return plural(f.Attempts, "attempt") + ", again " + clock(f.NotBefore)
}

// writeLine writes a line of history.
func writeLine(w io.Writer, l engine.Line) {
	fmt.Fprintf(w, "%s  %s\n", l.At.Local().Format("2006-01-02 15:04:05.000"), story(l)) //nolint:gosmopolitan // operators read their own time
}

// story says what a line of history tells.
func story(l engine.Line) string {
	what := l.What
	if l.Standby {
		what += " (standby)"
	}
	if l.Call != "" {
		what = "  " + l.Call
	}
	parts := []string{fmt.Sprintf("%-22s", what)}
	if l.Outcome != "" {
		outcome := l.Outcome
		if l.Attempt > 1 {
			outcome += fmt.Sprintf(" (attempt %d)", l.Attempt)
		}
		parts = append(parts, outcome)
	}
	if l.Moved {
		parts = append(parts, fmt.Sprintf("%s → %s (%s)", l.From, l.To, l.Cause))
	}
	if len(l.Effects) > 0 {
		parts = append(parts, "decides: "+strings.Join(l.Effects, ", "))
	}
	parts = append(parts, l.Notes...)
	if l.Alarm != "" {
		parts = append(parts, "ALARM "+l.Alarm+": "+handover.AlarmReason(l.Alarm).Mend())
	}
	if l.Error != "" {
		parts = append(parts, l.Error)
	}
	return strings.TrimRight(strings.Join(parts, "  "), " ")
}

// clock returns a time as this machine shows it.
func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2006-01-02 15:04:05") //nolint:gosmopolitan // operators read their own time
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}
