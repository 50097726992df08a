// Package fleet tells the fleet over MQTT how this station's work is going.
//
//	station-agent/<environment>/<station uuid>/state    retained, QoS 1: State, when it changes
//	station-agent/<environment>/<station uuid>/health   not retained, QoS 0: Health, every 30 seconds
//
// The broker itself says on the state topic that the station is lost (last will), because the station can't. So a reader
// who subscribes at any time has the state of every station at once:
//
//	init ──▶ ready ◀──▶ alert        alert: at least one problem is in Health
//	   any of them ──▶ disconnected  the agent was stopped
//	   any of them ──▶ lost          the broker lost the agent
//
// The package promises that the broker never delays anything else: every step has an end of its own (dialing 10 s, the
// greeting 10 s, a write 2 s, an acknowledgement 5 s, silence 20 s), nothing is queued while the broker is away, and a
// packet of the broker that is 16 KiB or longer is not read. After each connect the state is said again, and a Health
// follows. The credentials are asked for at each connect, so that a corrected password works without a restart.
//
// It never subscribes (a message from the broker ends the connection), never logs and never puts a secret into a topic, a
// payload or an error.
//
// The MQTT client is paho's, a fresh one for each connection. Own are the loop around it, which asks for the password
// again and waits until nothing of the old connection is left, and the net.Conn below it, because paho has no way to
// leave without DISCONNECT, which would keep the last will from being said, and no limit to what it reads.
package fleet
