// Command run is the program of the children of make bench-deliver.
package main

import "station-agent/build/benchdeliver/haul"

func main() { haul.Main() }
