// Package fleet carries what package message describes between a station, the broker and whoever watches: Publisher is the
// station's side, Desk the fleet's.
//
//	Publisher says   state    retained, QoS 1: when it changes, and again when somebody else's word stands in its place
//	                 alarms   retained, QoS 1: when something is raised or cleared, else at health's interval
//	                 events   QoS 1, one after the other, each until the broker has it
//	                 health   QoS 0, every 30 seconds and when a problem comes or goes; never queued
//	                 challenge  QoS 0: is there another agent of this station?
//	                 result   QoS 1: what became of a command; waits in memory while the broker is away
//	and hears        state, challenge and command of its own station
//
// The broker itself says on the state topic that the station is lost (last will), because the station can't. So a reader
// who subscribes at any time has the state of every station at once. Will and birth are the same message but for the mode
// and the time. A will that comes late, of a connection that was replaced, is overruled at once by the agent that lives.
//
// The package promises that the broker never delays anything else: every step has an end of its own (dialing 10 s, the
// greeting 10 s, a write 2 s for 16 KiB, an acknowledgement 5 s, one of an event or a result 30 s, silence 20 s). A message
// of 16 KiB or more, with commands 256 KiB, is left out, and one longer than any may be ends the connection. A flood on a topic that the station hears costs
// it bounded room and no more work than ten commands a second. After each connect the state is said again, and alarms and
// health follow; on a reconnect up to five seconds later, so that a broker which lost the fleet isn't greeted by all of it
// at once. Credentials, certificate and proxy are asked for at each connect, so that a corrected one works without a
// restart.
//
// It never heeds what is retained, never logs and never puts a secret into a topic, a payload or an error. Whether a
// command may be obeyed is not decided here.
//
// The MQTT client is paho's, a fresh one for each connection. Own are the loop around it, which asks for the password
// again and waits until nothing of the old connection is left, the dialing, because paho's can't be interrupted and knows
// no HTTP proxy, and the net.Conn below it, because paho has no way to leave without DISCONNECT, which would keep the last
// will from being said, and no limit to what it reads.
package fleet
