// Charts: the times in the reader's zone, the numbers of the bucket under the pointer, and a range by dragging.

import { readings } from "./charts/readings";
import { localAxes } from "./charts/axes";
import { zoom } from "./charts/zoom";

localAxes(document);
readings(document);
zoom(document);
