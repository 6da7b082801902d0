package main

// situation is something that goes wrong, with what shows that Usher bears it.
type situation struct {
	fault string
	then  string   // what is seen of Usher
	shown []string // tests, as "directory TestName" or "directory TestName/case", and kinds of faults as "chaos kind"
}

// situations are the rows of the table in docs/reliability.md.
var situations = []situation{
	// A replica.
	{
		"a replica is killed after it has read a delivery, before all of it is stored", "no 200; Meta repeats it; what was stored is known",
		[]string{"chaos replica killed at ingest.before", "chaos replica killed at ingest.mid", "handover/redisstore TestConformance/duplicates_are_stored_once"},
	},
	{
		"killed after storing, before the 200", "Meta repeats it, and nothing comes of that",
		[]string{"chaos replica killed at ingest.after", "chaos webhooks doubled"},
	},
	{
		"killed after reading from the stream, before the commit", "the next owner decides it, once",
		[]string{"cmd/usher TestKilledBetweenStoringAndAnswering", "chaos replica killed at step.after"},
	},
	{
		"killed after the commit, before the call", "the next owner waits for an echo, then calls",
		[]string{"handover/engine TestKilledBetweenDecidingAndSending", "cmd/usher TestKilledBetweenDecidingAndSending", "chaos replica killed at commit.after"},
	},
	{
		"killed while a call is under way", "the echo settles it; without one a second copy is sent, and counted",
		[]string{"cmd/usher TestKilledWhileASendIsInFlight", "cmd/usher TestKilledDuringSayAndPass", "chaos replica killed", "chaos echoes lost"},
	},
	{
		"killed after Meta's answer, before its commit", "the echo settles it",
		[]string{"handover/engine TestKilledAfterSendingIsSettledByTheEcho", "handover/engine TestDoubtOutlivesACleanStop", "chaos replica killed at send.after"},
	},
	{
		"killed amid messages that followed one another", "their echoes settle what arrived; the rest is sent",
		[]string{"handover/engine TestKilledAmidMessages", "handover/engine TestStaleStoreAmidMessages"},
	},
	{
		"a crash or a failover forgets how a handoff ended, and an agent has given the thread back since", "it is looked at once more before it is passed again",
		[]string{"handover/engine TestHandoffGivenBackIsNotPassedAgain"},
	},
	{
		"frozen for longer than its leases, and woken while another has its partitions", "its commits are refused, and it begins no call",
		[]string{"handover/redisstore TestConformance/a_zombie_is_refused_and_writes_nothing", "handover/engine TestOwnerWithoutTrustBeginsNoCall", "messenger/graph TestNothingIsSentPastItsTime", "cmd/usher TestReplicaKilledAndReplicaFrozen", "chaos replica frozen"},
	},
	{
		"two processes want the same partition (they have no names that could be the same)", "one has it",
		[]string{"handover/redisstore TestConformance/one_of_many_acquires"},
	},
	{
		"a lease is taken away by hand", "its former owner is refused at its next commit and begins no call",
		[]string{"handover/engine TestStolenLeaseSendsNothing", "handover/engine TestStolenLeaseStopsWaitingSenders"},
	},
	{
		"a replica that has lost a partition, and does not know, takes a delivery for it", "its new owner is told before the 200, and decides it in its place",
		[]string{"handover/redisstore TestAnOwnerOutOfTimeTellsOfWhatHeAppends", "handover/redisstore TestEntriesOfAllComeInOrder"},
	},
	{
		"a replica's clock is an hour off", "nothing: times are Redis's, durations the monotonic clock's",
		[]string{"handover/engine TestStoreClock/at_once"},
	},
	{
		"SIGTERM under load, one replica after the other", "nothing lost, nothing twice, nobody waits for a lease",
		[]string{"cmd/usher TestSIGTERMUnderLoad", "cmd/usher TestRollingRestart", "cmd/usher-bench TestScenarios", "chaos replica stopped", "chaos rolling restart"},
	},
	{
		"started with a wrong setting", "exit 2, with its line; nothing is started",
		[]string{"config TestFaults", "cmd/usher-bench TestChaos"},
	},

	// Redis.
	{
		"the reply of a script is lost", "its repeat changes nothing",
		[]string{"handover/redisstore TestConformanceWhenRepliesAreLost", "handover/engine TestStoreThatLosesItsAnswers", "chaos redis replies swallowed"},
	},
	{
		"Redis's clock jumps by an hour", "owners follow it; leases and limits end early or late by the jump",
		[]string{"handover/engine TestStoreClock/set_forward", "handover/engine TestStoreClock/set_back"},
	},
	{
		"Redis is restarted, or killed", "503 meanwhile; nothing lost",
		[]string{"chaos redis restarted", "chaos redis killed", "cmd/usher-bench TestScenarios", "cmd/usher TestServeWaitsForARedisThatLoads"},
	},
	{
		"Redis is down for long", "503 and not ready, with the reason; alerts",
		[]string{"cmd/usher TestRedisStops", "handover/metrics TestAlerts"},
	},
	{
		"Redis is out of memory", "503; what was accepted is worked off, which makes room",
		[]string{"handover/redisstore TestOutOfMemory", "cmd/usher TestRedisRefuses", "chaos redis out of memory"},
	},
	{
		"Redis's disk is full", "503, and Redis's reason in the log; work goes on when there is room",
		[]string{"handover/redisstore TestAppendTriesAgain/a_full_disk", "cmd/usher-bench TestScenarios", "chaos redis disk full"},
	},
	{
		"another Redis becomes the primary", "storing is tried again within 4 s",
		[]string{"handover/redisstore TestAppendTriesAgain/a_failover", "chaos failover"},
	},
	{
		"a failover forgets what an owner has committed", "the owner loads anew and decides again; what was echoed is not sent again",
		[]string{"handover/engine TestStaleStoreIsReadAnew", "handover/engine TestStaleStoreIsNoticedAtRest", "handover/engine TestEffectKnownByItsEchoIsNotSentAgain", "chaos primary killed"},
	},
	{
		"too few replicas confirm, with `durability: replicated`", "503",
		[]string{"handover/redisstore TestReplicated", "chaos redis replica frozen", "chaos redis replica restarted"},
	},
	{
		"the primary dies with what its replicas do not have", "nothing is lost with `durability: replicated`; without it what was acknowledged last is",
		[]string{"cmd/usher-bench TestScenarios", "chaos primary killed, replicas behind"},
	},
	{
		"slots move in a cluster", "what is refused meanwhile is tried again",
		[]string{"handover/redisstore TestAppendTriesAgain/a_slot_on_its_way", "chaos slots moved"},
	},
	{
		"a part of Redis does not answer", "partitions elsewhere go on",
		[]string{"handover/engine TestAPartitionThatDoesNotAnswerHoldsUpNoOther"},
	},
	{
		"Redis forgets the scripts", "they are sent again",
		[]string{"handover/redisstore TestScriptsAreSentAgain", "chaos redis forgets scripts"},
	},
	{
		"Redis is slow, cut off, or there and silent", "an answer within 4 s; work goes on at once afterwards",
		[]string{"messenger/webhook TestStoreHangs", "handover/engine TestStoreClock/question_is_held_up", "chaos redis slow", "chaos redis cut", "chaos redis unreachable", "chaos redis stalled"},
	},
	{
		"Redis would evict keys", "Usher does not start",
		[]string{"handover/redisstore TestOpenChecksTheSettings/eviction"},
	},

	// Graph.
	{
		"Graph answers 5xx", "tried again, in order; after a few in a row only a ping",
		[]string{"handover/engine TestGraphFailsOnceAndTheReplyArrivesOnce", "handover/engine TestGraphDownForAnHour", "chaos graph fails"},
	},
	{
		"a limit of Graph is reached", "the Page waits, on all replicas; other Pages go on",
		[]string{"handover/engine TestLimitStopsThePageForAllReplicas", "handover/engine TestSpentAllowance", "chaos graph throttles"},
	},
	{
		"the Page's token is dead", "the Page waits; what grew too old is reported; a new token goes on at once",
		[]string{"handover/engine TestDeadToken", "handover/engine TestDayWithADeadToken", "handover/engine TestNewTokenGoesOnAtOnce"},
	},
	{
		"the 24 hours for answers are over", "not tried again; people get the thread",
		[]string{"messenger/graph TestMeaningOfErrors/outside_window", "handover TestTranscripts/pass_outside_the_window"},
	},
	{
		"another app has control", "not tried again; the state follows",
		[]string{"handover/engine TestNotOwnerChangesTheStateAndIsNotRetried", "cmd/usher TestSituations/another_app_controls_the_thread"},
	},
	{
		"Graph refuses a call for good", "not tried again, by a table of codes",
		[]string{"messenger/graph TestMeaningOfErrors/blocked", "messenger/graph TestMeaningOfErrors/permission_230", "handover/engine TestRefusalsAreAnswers"},
	},
	{
		"Graph fails a call again and again", "six attempts in about ten minutes, then reported",
		[]string{"handover/engine TestCallThatFailsForEverIsGivenUp"},
	},
	{
		"no answer, but the message was sent", "its echo settles it; a second copy only without one",
		[]string{"handover/engine TestUnknownOutcomeIsSettledByTheEcho", "handover/engine TestUnknownOutcomeWithoutEchoIsSentOnceMore", "chaos graph loses answers", "chaos graph hangs after success"},
	},
	{
		"Graph is slow", "only the thread waits whose call it is",
		[]string{"handover/engine TestSlowThreadDelaysNoOther", "cmd/usher TestSituations/graph_is_slow", "chaos graph slow"},
	},
	{
		"Graph cannot be reached, or is not who it says", "as with 5xx",
		[]string{"messenger/graph TestOutcomeWithoutAnAnswer", "messenger/graph TestOutcomeOfUntrustedCertificate", "chaos graph cut"},
	},

	// What Meta delivers.
	{
		"a delivery comes several times, also to two replicas at once", "decided once",
		[]string{"handover/engine TestRedeliveryToTwoReplicasIsAnsweredOnce", "cmd/usher TestSituations/the_same_mid_to_two_replicas_at_once", "chaos webhooks doubled", "chaos webhooks to two at once"},
	},
	{
		"nothing could be stored for an hour, and Meta has unsubscribed the app", "subscribed again; what was missed is read from the conversations, each event once",
		[]string{"messenger/watch TestAnHourOfFailures", "messenger/watch TestLateDeliveries"},
	},
	{
		"Meta delivers no more, and says nothing", "the subscription is looked at within minutes; an alarm",
		[]string{"messenger/watch TestSilence"},
	},
	{
		"deliveries come in disorder", "decided as accepted, by Meta's time within a read; control by Meta's time",
		[]string{"handover/engine TestBatchIsSortedByMetasTime", "handover TestTranscripts/late_control_events", "chaos webhooks shuffled"},
	},
	{
		"a message comes 30 hours late", "noted, not answered",
		[]string{"handover TestTranscripts/stale_acts"},
	},
	{
		"the echo comes before the answer", "sent once",
		[]string{"chaos graph hangs after success"},
	},
	{
		"a thousand events for 64 threads at once", "stored, each in its order",
		[]string{"handover/redisstore TestConformance/a_thousand_events_across_64_threads", "chaos webhooks in a burst"},
	},
	{
		"more comes than can be replied to", "deliveries are acknowledged up to a second later",
		[]string{"handover/engine TestACrowdHoldsUpWhoBringsMore", "handover/engine TestWhatIsNoCrowd", "messenger/webhook TestEase"},
	},
	{
		"a signature is missing, wrong, or SHA-1 alone", "401; nothing stored; a few lines of log",
		[]string{"messenger/webhook TestSignature/sha1_only", "messenger/webhook TestLogIsLimited", "messenger/webhook FuzzHandler"},
	},
	{
		"it was made with the former app secret", "accepted while both are set",
		[]string{"messenger/webhook TestSignature/previous_secret"},
	},
	{
		"a body is too long, or compressed", "413 over 8 MiB, 415; 8 MiB are accepted",
		[]string{"messenger/webhook TestBodyLength", "messenger/webhook TestContentEncoding", "cmd/usher TestLongDelivery"},
	},
	{
		"a request dribbles in, or never ends", "cut off after 5 s and 15 s; no reason not to stop",
		[]string{"cmd/usher TestListenersCutOffWhoDribbles", "cmd/usher TestStopCutsOffWhoDribbles"},
	},
	{
		"signed text is no JSON, no UTF-8, or deep", "200, and set aside; no panic",
		[]string{"messenger/webhook TestDecodeHostile", "messenger/webhook TestNotJSON", "messenger/webhook FuzzDecode"},
	},
	{
		"an event of a kind that nobody knows", "200, stored as unknown, no reply",
		[]string{"messenger/webhook TestDecodeKeepsRaw"},
	},
	{
		"an event makes Usher panic", "set aside with its cause; its thread goes on",
		[]string{"handover/engine TestPoisonIsSetAside", "handover/engine TestParkedPoisonIsSetAside", "handover/engine TestCallThatPanicsIsSetAside"},
	},
}
