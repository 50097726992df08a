// Package gs1 tells which trade item, or which logistic unit, a code names, whatever the code looks like.
//
// GS1 numbers things: a GTIN is a kind of article, an SGTIN is a GTIN and a serial number, so one single article, and an
// SSCC is one parcel or pallet. The same number reaches a station in many spellings:
//
//	element string   0180614141123458216789                        in a GS1 barcode: identifier (AI) 01, GTIN, AI 21, serial
//	Digital Link     https://id.gs1.org/01/80614141123458/21/6789  the same as a web address
//	EPC, binary      3074257BF7194E4000001A85                      on an RFID tag, in hexadecimal digits
//	EPC, URI         urn:epc:id:sgtin:0614141.812345.6789          the same for people and programs
//	plain digits     80614141123458                                GTIN alone: 8, 12 (UPC), 13 (EAN) or 14 digits
//
// GTINOf and SSCCOf read all of them. An EPC cuts the number in another way than a barcode: the company's prefix, which
// has 6 to 12 digits, and its own reference stand apart, the reference begins with the first digit of the number, and the
// check digit is left out:
//
//	barcode    8   0614141   12345   8             EPC   0614141  .  8 12345
//	           |      |        |     |                      |        |   |
//	       indicator prefix   item  check                 prefix indicator item
//
// An SGTIN-96 lies on the tag like this, its first bit on the left (EPC Tag Data Standard, coding table SGTIN-96):
//
//	bit 0        8        11          14                     14+A                   58                    96
//	    +--------+--------+-----------+----------------------+----------------------+---------------------+
//	    | header | filter | partition |    company prefix    |    item reference    |       serial        |
//	    |  30h   | 0 to 7 | P: 0 to 6 | A bits, 12-P digits  | 44-A bits, 1+P digits|  38 bits, a number  |
//	    +--------+--------+-----------+----------------------+----------------------+---------------------+
//
//	P     0    1    2    3    4    5    6    7
//	A    40   37   34   30   27   24   20    not allowed
//
// An SGTIN-198 has header 36h and a serial of 140 bits: 20 characters of 7 bits, filled up with zeros. An SSCC-96 has header
// 31h, 58 bits for prefix and reference, which has 5+P digits, and 24 zeros at the end.
//
// The package promises that it never guesses: a code is in one of these forms, whole and with right check digits, or it
// names nothing here. Unknown EPC headers, numbers beyond their digits, reserved bits that are set, unassigned AIs and two
// GTINs in one code are all nothing, and no error: tags and labels hold what their makers like. Whatever comes in, no
// function panics, and each takes time and memory in proportion to the code. 32 hexadecimal digits name nothing, even
// where they could be read as an element string: they are the hash of a row.
//
// EPCOf gives the URIs of an EPC, of assets (GRAI-96, GIAI-96) too. Misread says that a check digit is wrong where the scanner
// said that there is one: then the label says something else. PC is what stands before the EPC on a tag.
//
// It never does I/O, follows no link and keeps no state.
package gs1
