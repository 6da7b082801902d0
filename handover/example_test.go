package handover_test

import (
	"fmt"
	"time"

	"usher/handover"
)

// A customer taps "Talk to a human", and half an hour later nobody has answered.
func ExampleDecide() {
	rules := handover.Rules{Target: "263902037430900", TimeLimit: 30 * time.Minute}
	at := time.Date(2026, time.November, 2, 10, 0, 0, 0, time.UTC)

	var thread handover.State // never seen: the bot's
	tap := handover.CustomerActed{Act: handover.ActPostback, Payload: handover.PayloadHandoff, At: at}
	thread, effects := handover.Decide(rules, thread, tap, at)
	fmt.Printf("%s until %s: %+v\n", thread.Phase, thread.Wake().Format(time.TimeOnly), effects)

	passed := handover.CallEnded{Effect: effects[0], Generation: thread.Generation, Outcome: handover.OK}
	thread, _ = handover.Decide(rules, thread, passed, at.Add(time.Second))

	thread, effects = handover.Decide(rules, thread, handover.Tick{}, thread.Wake())
	fmt.Printf("%s, awaiting %s: %+v\n", thread.Phase, thread.Awaiting, effects)

	taken := handover.CallEnded{Effect: effects[0], Generation: thread.Generation, Outcome: handover.OK}
	thread, effects = handover.Decide(rules, thread, taken, at.Add(30*time.Minute))
	fmt.Printf("%s, because of %s: %T\n", thread.Phase, thread.Cause, effects[0])

	// Output:
	// waiting until 10:30:00: [{Text:handoff Target:263902037430900 Cause:button}]
	// waiting, awaiting take: [{Cause:time_limit}]
	// bot, because of time_limit: handover.EndEpisode
}
