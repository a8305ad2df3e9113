// The float network that everything starts from, on the same test images: what all accuracies are compared with.
import { cifarResnet } from "@bitdiet/zoo/nets/resnet";
import type { Recipe } from "./recipe.js";
import { accuracy } from "./testbed.js";

export const float: Recipe = {
  name: "float",
  paper: "ResNet-20 (He et al., CVPR 2016)",
  published: "CIFAR-10: 91.25 %",
  runs: [
    {
      id: "float",
      title: "float32",
      of: "both",
      trains: false,
      measure: async ({ start, test }) => ({ accuracy: accuracy(test, (x) => cifarResnet(start, x)) }),
    },
  ],
};
