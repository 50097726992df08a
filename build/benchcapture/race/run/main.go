// Command run is the program of the children of make bench-capture.
package main

import "station-agent/build/benchcapture/race"

func main() { race.Main() }
