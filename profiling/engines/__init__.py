"""What executes the networks of a method in place of eager torch in fp32."""
